use super::*;

#[test]
fn a_chance_is_never_rounded_to_never_or_always() {
    let told = [0.0, 0.001, 0.5, 0.634, 0.999, 1.0].map(percent);
    assert_eq!(told, ["0 %", "< 1 %", "50 %", "63 %", "> 99 %", "100 %"]);
}

#[test]
fn a_question_is_read_as_it_is_asked() {
    let read = |query| Question::read(query).map_err(|mistake| mistake.to_string());
    assert!(read("stream=%2Fa.ogg&client=192.0.2.7&https=true&agent=VLC%2F3").is_ok());
    assert_eq!(read("stream=/a%20b").unwrap().asked(), "/a b");
    for (query, why) in [
        ("", "which stream?"),
        ("stream=", "which stream?"),
        ("stream=/a&client=vienna", "client: \"vienna\" is no IP address"),
        ("stream=/a&client=192.0.2.7:80", "is no IP address"),
        ("stream=/a&https=maybe", "https: \"maybe\" is neither true nor false"),
        ("stream=/a&stream=/b", "\"stream\" is given twice"),
        ("stream=/a&clinet=::1", "unknown parameter \"clinet\"; did you mean \"client\"?"),
        ("stream=/a&x=%0a", "unknown parameter \"x\"; the parameters are \"stream\", \"client\""),
    ] {
        let mistake = read(query).unwrap_err();
        assert!(mistake.contains(why), "{query}: {mistake}");
    }
    assert_eq!(read("stream=/a&client=&https=no"), read("stream=/a"));
}
