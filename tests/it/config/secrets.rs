//! Passwords reach the fleet, and nothing else.

use icecast_balancer::config::source::Sources;
use icecast_balancer::fleet::Fleet;
use icecast_balancer::fleet::compile::compile;
use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::{bad, good, outside, read};

const CANARY: &str = "Kanarienvogel";

fn with_stats(stats: &str) -> String {
    format!("servers:\n  v:\n    url: http://v\n    stats: {stats}\nstreams:\n  /a:\n")
}

fn password(fleet: &Fleet) -> &str {
    fleet.servers[0].stats.credentials.as_ref().unwrap().password.expose_secret()
}

#[test]
fn a_written_password_is_taken_as_it_is() {
    let fleet = good(&with_stats("{password: 'a $b {c}'}"));
    assert_eq!(password(&fleet), "a $b {c}");
    assert_eq!(fleet.servers[0].stats.credentials.as_ref().unwrap().username, "admin");
}

#[test]
fn environment_variables_are_replaced_in_a_password() {
    assert_eq!(password(&good(&with_stats("{password: \"${PASSWORD}\"}"))), "from-environment");
    assert_eq!(password(&good(&with_stats("{password: \"<${PASSWORD}>\"}"))), "<from-environment>");
}

#[test]
fn environment_variables_are_replaced_nowhere_else() {
    let fleet = good(&with_stats("{username: \"${PASSWORD}\", password: x}"));
    assert_eq!(fleet.servers[0].stats.credentials.as_ref().unwrap().username, "${PASSWORD}");
}

#[test]
fn a_password_file_loses_the_line_break_at_its_end() {
    let fleet = good(&with_stats("{password_file: /run/secret}"));
    assert_eq!(password(&fleet), "absolute");
}

#[test]
fn a_relative_password_file_is_beside_the_file_that_names_it() {
    let sources = Sources::new("conf/balancer.yaml", with_stats("{password_file: secret}"));
    assert_eq!(password(&compile(&sources, &outside()).unwrap()), "beside");
}

#[test]
fn the_admin_token_is_read_from_its_file() {
    let fleet = good(&format!("admin_token_file: secret\n{}", with_stats("{}")));
    assert_eq!(fleet.admin_token.unwrap().expose_secret(), "from-file");
}

#[test]
fn the_debug_form_of_a_fleet_has_no_password() {
    let fleet = good(&with_stats(&format!("{{password: {CANARY}}}")));
    assert_eq!(password(&fleet), CANARY);
    assert!(!format!("{fleet:?}").contains(CANARY));
}

#[test]
fn the_debug_form_of_the_sources_has_no_password() {
    let sources = Sources::new("balancer.yaml", with_stats(&format!("{{password: {CANARY}}}")));
    assert!(!format!("{sources:?}").contains(CANARY));
}

#[test]
fn a_password_never_comes_out_whatever_is_wrong() {
    // What is written after `stats:`, indented by four.
    let places = [
        "{password: CANARY}",
        "{username: x, password: CANARY, bogus: 1}",
        "{password: CANARY, username: 5}",
        "{password: 5CANARY,CANARY}",
        "{password: \"CANARY}",
        "{password: \"CANARY\n     CANARY\", bogus: 1}",
        "{password: CANARY\n     CANARY, bogus: 1}",
        "{'password': CANARY CANARY: CANARY}",
        "{\"pass\\u0077ord\": CANARY, bogus: 1}",
        "{bogus: 1, ? password : CANARY}",
        "{password:CANARY}",
        "{password: [CANARY]}",
        "{password: {CANARY: CANARY}}",
        "{password: @CANARY}",
        "{password: *CANARY}",
        "{password: !CANARY x}",
        "{password: &CANARY x, bogus: *CANARY}",
        "{password: %CANARY}",
        "{password: #CANARY}",
        "{password: ${CANARY}",
        "{password: CANARY}}",
        "\n      password: CANARY\n      bogus: 1",
        "\n      password: CANARY: CANARY",
        "\n      password: CANARY # CANARY\n      bogus: 1",
        "\n      password: |\n        CANARY\n        CANARY\n      bogus: 1",
        "\n      password: >-\n\n        CANARY\n\n         CANARY\n       bogus: 1",
        "\n      password: |\n        CANARY\n       CANARY\n      bogus: 1",
        "\n      password:\n        CANARY\n      bogus: 1",
        "\n      password:\n        CANARY: CANARY",
        "\n      password:\n        - CANARY",
        "\n      password: 'CANARY\n       CANARY\n      bogus: 1",
        "\n      password: \"CANARY\\q\"",
        "\n      password: \"CANARY\" CANARY",
        "\n      password: \"CANARY\\\" CANARY\" CANARY",
        "\n      password: ${CANARY CANARY",
        "\n      password: a${}CANARY",
        "\n      password: CANARY\u{7}",
        "\n      password: \"CANARY\\n\"",
        "\n      ? password\n      : CANARY\n      bogus: 1",
        "\n      ? password\n      : CANARY: CANARY",
        "\n      - password: CANARY\n        bogus: 1",
        "\n      password = CANARY",
        "\n      password CANARY",
        "\n      password\n      CANARY",
        "\n      passwort: CANARY",
        "\n      Password: CANARY",
        "\n      pasword: CANARY",
        "\n      passwd: CANARY",
        "\n      pass: CANARY",
        "\n      password: &x CANARY\n      username: *x\n      source: *x\n      url: *x",
        "\n      password: CANARY\n      password: CANARY",
        "\n      password: CANARY\n      password_file: nowhere",
        "\n      url: http://CANARY:CANARY@example.org",
        "\n      url: http://x:CANARY@",
        "\n      url: ftp://x:CANARY@example.org",
        "\n      url: x:CANARY@example.org:8000",
        "\n      url: http:/x:CANARY@example.org",
        "\n      url: http:x:CANARY@example.org",
        "\n      url: http://x:CANARY/CANARY@example.org",
        "{url: 'x:CANARY@example.org', bogus: 1}",
        "\n\tpassword: CANARY",
        "\n      password:\tCANARY\n      bogus: 1",
        "\r\n      password: CANARY\r\n      bogus: 1\r\n",
    ];
    for place in places {
        let text = with_stats(&place.replace("CANARY", CANARY));
        // One more mistake, so that something is shown in any case.
        for text in [text.clone(), format!("{text}bogus: 1\n"), format!("{text}  broken: [\n")] {
            let Err(problems) = read(&text) else { continue };
            let renderings = [
                problems.human(false),
                problems.human(true),
                problems.json(),
                problems.github(),
                format!("{problems:?}"),
            ];
            for rendering in renderings {
                // `${CANARY}` is the name of a variable and no secret.
                let rendering = rendering.replace(&format!("variable {CANARY} is"), "");
                assert!(!rendering.contains(CANARY), "in:\n{text}\nout:\n{rendering}");
            }
        }
    }
    assert_eq!(places.len(), 63);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// One slip of the finger anywhere but in the password and its key.
    #[test]
    fn a_slip_anywhere_does_not_bring_a_password_out(
        form in 0_usize..6,
        at in 0_usize..400,
        cut in 0_usize..3,
        slip in prop_oneof!["[\\n\\t:,{}\\[\\]&*!|>'\"%@`#?<~ -]?", "\\PC?"],
    ) {
        let stats = [
            "{username: x, password: CANARY, source: auto}",
            "{password: \"CANARY\"}",
            "\n      password: CANARY\n      source: auto",
            "\n      password: \"CANARY\"\n      source: auto",
            "\n      password: 'CANARY' # old\n      source: auto",
            "\n      source: auto\n      password: |\n        CANARY\n      username: x",
        ];
        let mut text = with_stats(&stats[form].replace("CANARY", CANARY));
        let (key, canary) = (text.find("password").unwrap(), text.find(CANARY).unwrap());
        let places: Vec<usize> = (0..=text.len())
            .filter(|at| !(key + 1..key + 8).contains(at))
            .filter(|at| !(canary + 1..canary + CANARY.len()).contains(at))
            .collect();
        let start = places[at % places.len()];
        let mut end = start;
        while end < start + cut && end < text.len() && end != key && end != canary {
            end += 1;
        }
        text.replace_range(start..end, &slip);
        if let Err(problems) = read(&text) {
            let shown = format!("{}{}{}", problems.human(false), problems.json(), problems.github());
            prop_assert!(!shown.contains(CANARY), "in:\n{text}\nout:\n{shown}");
        }
    }
}

#[test]
fn what_stands_beside_a_password_is_still_shown() {
    let problems = bad(&with_stats("\n      password: x\n      bogus: 1")).to_string();
    assert!(problems.contains("bogus: 1"), "{problems}");
}
