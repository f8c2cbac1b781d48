//! Relays that one address family reaches, and players of both on one socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::support::{Answer, raw};

use super::Lab;

async fn get(lab: &Lab, from: impl Into<IpAddr>) -> Answer {
    let to = SocketAddr::new(from.into(), lab.balancer.public.port());
    raw(to, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await
}

#[tokio::test]
async fn a_dual_stack_socket_tells_ipv4_from_ipv6() {
    let lab = Lab::start(&["ip: 4", "ip: 6"], "").await;
    assert!(lab.balancer.public.is_ipv6(), "one socket for both");
    for _ in 0..5 {
        assert_eq!(lab.name_of(&get(&lab, Ipv4Addr::LOCALHOST).await), "r0");
        assert_eq!(lab.name_of(&get(&lab, Ipv6Addr::LOCALHOST).await), "r1");
    }
}

#[tokio::test]
async fn a_player_of_the_wrong_family_is_told_so() {
    let lab = Lab::start(&["ip: 6"], "").await;
    let answer = get(&lab, Ipv4Addr::LOCALHOST).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.body,
        "unreachable: the relays of /x are reached by IPv6 only, and you came by IPv4\n"
    );
    assert!(answer.header("retry-after").is_some());
    let series = "icecast_balancer_stream_requests_total{stream=\"/x\",outcome=\"unreachable\"}";
    assert_eq!(lab.balancer.metric(series).await, Some(1.0));
    assert_eq!(get(&lab, Ipv6Addr::LOCALHOST).await.status, 302);
    // For the operator its places are there, and the page says whom they are for.
    let status = lab.balancer.status().await;
    assert_eq!(status["streams"][0]["mounts"][0]["reason"], "for players that come by IPv6 only");
}

#[tokio::test]
async fn a_proxy_may_speak_for_the_other_family() {
    let lab = Lab::start(&["ip: 4", "ip: 6"], "").await;
    assert_eq!(lab.sent("2001:db8::1").await, "r1");
    assert_eq!(lab.sent("192.0.2.1").await, "r0");
    assert_eq!(lab.sent("::ffff:192.0.2.1").await, "r0");
}
