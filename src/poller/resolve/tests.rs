use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::time::{advance, sleep};

use super::*;

/// A name system that gives these answers, one after the other, and counts the questions under way.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked: AtomicUsize,
    under_way: AtomicUsize,
}

#[derive(Clone)]
enum Answer {
    Means(&'static [&'static str]),
    Fails,
    Silence,
    Late(Duration, &'static str),
}

use Answer::{Fails, Late, Means, Silence};

const FIRST: &str = "192.0.2.7";
const OTHER: &str = "198.51.100.7";

/// A resolver over these answers; after the last there is silence.
fn resolver(answers: &[Answer]) -> (Resolver, Arc<Script>) {
    let script =
        Arc::new(Script { answers: Mutex::new(answers.to_vec().into()), ..Script::default() });
    let asked = Arc::clone(&script);
    let ask: Ask = Arc::new(move |_| {
        let script = Arc::clone(&asked);
        Box::pin(async move {
            script.asked.fetch_add(1, SeqCst);
            script.under_way.fetch_add(1, SeqCst);
            let answer = script.answers.lock().unwrap().pop_front().unwrap_or(Silence);
            let answer = match answer {
                Means(addresses) => Ok(parsed(addresses)),
                Fails => Err(io::Error::other("Name or service not known")),
                Silence => pending().await,
                Late(after, address) => {
                    sleep(after).await;
                    Ok(parsed(&[address]))
                }
            };
            script.under_way.fetch_sub(1, SeqCst);
            answer
        })
    });
    (Resolver::new(ask), script)
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().expect("an address")).collect()
}

/// What the name means, once the name system has been asked again where that was due.
async fn means(resolver: &Resolver) -> Vec<String> {
    now_means(resolver).await;
    sleep(Duration::from_millis(1)).await;
    now_means(resolver).await
}

/// What a look is told at this moment.
async fn now_means(resolver: &Resolver) -> Vec<String> {
    let addresses = resolver.addresses("relay.example").await.expect("an address");
    addresses.iter().map(ToString::to_string).collect()
}

async fn fails(resolver: &Resolver) -> String {
    resolver.addresses("relay.example").await.expect_err("no address").to_string()
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_used_without_asking_again() {
    let (resolver, script) = resolver(&[Means(&[FIRST]), Means(&[OTHER])]);
    for _ in 0..10 {
        assert_eq!(means(&resolver).await, [FIRST]);
    }
    assert_eq!(script.asked.load(SeqCst), 1);
    advance(FRESH).await;
    assert_eq!(means(&resolver).await, [OTHER]);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_address_serves_for_an_hour_whatever_becomes_of_the_name_system() {
    for trouble in [Fails, Silence, Means(&[])] {
        let mut story = vec![Means(&[FIRST])];
        story.extend(std::iter::repeat_n(trouble, 200));
        let (resolver, _) = resolver(&story);
        assert_eq!(means(&resolver).await, [FIRST]);
        for _ in 0..118 {
            advance(FRESH).await;
            assert_eq!(means(&resolver).await, [FIRST]);
        }
        advance(FRESH * 2).await;
        assert_ne!(fails(&resolver).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn no_look_waits_for_a_name_whose_address_was_known() {
    let (resolver, script) = resolver(&[Means(&[FIRST])]);
    assert_eq!(means(&resolver).await, [FIRST]);
    advance(FRESH).await;
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(now_means(&resolver).await, [FIRST]);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(script.under_way.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_never_resolved_is_an_error_in_the_name_systems_words() {
    let (resolver, _) = resolver(&[Fails]);
    assert_eq!(fails(&resolver).await, "Name or service not known");
}

#[tokio::test(start_paused = true)]
async fn a_silent_name_system_costs_a_second_once_and_one_question() {
    let (resolver, script) = resolver(&[]);
    let began = Instant::now();
    for _ in 0..100 {
        assert!(fails(&resolver).await.contains("was not resolved in time"));
    }
    assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
    assert_eq!((script.asked.load(SeqCst), script.under_way.load(SeqCst)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn looks_that_come_together_share_one_question() {
    let (resolver, script) = resolver(&[Late(Duration::from_millis(500), FIRST)]);
    let all = (means(&resolver), means(&resolver), means(&resolver));
    let (one, two, three) = tokio::join!(all.0, all.1, all.2);
    assert_eq!([one, two, three], [[FIRST]; 3]);
    assert_eq!(script.asked.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_serves_the_next_look() {
    let (resolver, script) = resolver(&[Late(Duration::from_secs(5), FIRST)]);
    assert!(fails(&resolver).await.contains("was not resolved in time"));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(means(&resolver).await, [FIRST]);
    assert_eq!(script.asked.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn many_names_leave_threads_for_other_work() {
    let (resolver, script) = resolver(&[]);
    for name in 0..QUESTIONS * 2 {
        let resolver = resolver.clone();
        tokio::spawn(async move { resolver.addresses(&format!("relay{name}.example")).await });
    }
    sleep(PATIENCE * 2).await;
    assert_eq!(script.under_way.load(SeqCst), QUESTIONS);
}

#[tokio::test(start_paused = true)]
async fn a_name_of_the_internet_is_not_followed_into_a_private_network() {
    for internal in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "fd00::1", "::ffff:127.0.0.1"] {
        let internal: &'static [&'static str] = vec![internal].leak();
        let (resolver, _) = resolver(&[Means(&[FIRST]), Means(internal), Means(&[OTHER])]);
        assert_eq!(means(&resolver).await, [FIRST]);
        assert_eq!(resolver.remark("relay.example"), None);
        advance(FRESH).await;
        assert_eq!(means(&resolver).await, [FIRST], "{internal:?}");
        let remark = resolver.remark("relay.example").expect("a remark");
        assert!(remark.contains("where it is not followed"), "{remark}");
        advance(FRESH).await;
        assert_eq!(means(&resolver).await, [OTHER]);
        assert_eq!(resolver.remark("relay.example"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn patience_does_not_lead_into_a_private_network_either() {
    let mut story = vec![Means(&[FIRST])];
    story.extend(std::iter::repeat_n(Means(&["10.0.0.1"]), 200));
    let (resolver, _) = resolver(&story);
    assert_eq!(means(&resolver).await, [FIRST]);
    for _ in 0..119 {
        advance(FRESH).await;
        assert_eq!(means(&resolver).await, [FIRST]);
    }
    for _ in 0..10 {
        advance(FRESH).await;
        assert_eq!(fails(&resolver).await, "the name relay.example means a private network now");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_mixed_answer_the_addresses_of_the_internet_are_used() {
    let (resolver, _) = resolver(&[Means(&[FIRST]), Means(&["10.0.0.1", OTHER])]);
    assert_eq!(means(&resolver).await, [FIRST]);
    advance(FRESH).await;
    assert_eq!(means(&resolver).await, [OTHER]);
    assert!(resolver.remark("relay.example").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_private_from_the_beginning_goes_where_it_goes() {
    let (resolver, _) = resolver(&[Means(&["10.8.0.5"]), Means(&["10.8.0.6"]), Means(&[FIRST])]);
    for expected in ["10.8.0.5", "10.8.0.6", FIRST] {
        assert_eq!(means(&resolver).await, [expected]);
        assert_eq!(resolver.remark("relay.example"), None);
        advance(FRESH).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_addresses_a_few_are_tried() {
    let many: Vec<&'static str> = (0..100).map(|n| &*format!("198.51.100.{n}").leak()).collect();
    let (resolver, _) = resolver(&[Means(many.leak())]);
    assert_eq!(means(&resolver).await.len(), MOST_ADDRESSES);
}

#[tokio::test]
async fn the_systems_name_system_is_asked() {
    let localhost = super::addresses("localhost").await.unwrap();
    assert!(localhost.iter().all(IpAddr::is_loopback), "{localhost:?}");
    assert!(super::addresses("relay.invalid").await.is_err());
}
