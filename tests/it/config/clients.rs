//! What a configuration means that says which relay suits whom.

use icecast_balancer::affinity::Key;
use icecast_balancer::fleet::{Clients, Family, Fleet, Policy, Server};

use super::good;

const WHOLE: &str = include_str!("../../fixtures/config/valid/clients.yaml");

fn server<'a>(fleet: &'a Fleet, name: &str) -> &'a Server {
    &fleet.servers[fleet.server_named(name).unwrap()]
}

#[test]
fn countries_networks_and_families_are_understood() {
    let fleet = good(WHOLE);
    let vienna = server(&fleet, "vienna");
    assert_eq!(vienna.ip, Some(Family::V4));
    let clients = vienna.clients.as_ref().unwrap();
    let countries: Vec<_> = clients.countries.iter().map(ToString::to_string).collect();
    assert_eq!(countries, ["AT", "NO", "XK"], "Norway is not false");
    assert!(clients.only);
    for (address, inside) in
        [("192.0.2.9", true), ("2001:db8::9", true), ("10.0.0.7", true), ("10.0.0.8", false)]
    {
        assert_eq!(clients.include(address.parse().unwrap(), None), inside, "{address}");
    }

    let berlin = server(&fleet, "berlin");
    assert_eq!(berlin.ip, Some(Family::V6));
    assert!(
        matches!(&berlin.clients, Some(Clients { countries, only: false, .. }) if countries.is_empty())
    );
    let graz = server(&fleet, "graz");
    assert_eq!((graz.ip, graz.clients.as_ref()), (None, None));
}

#[test]
fn the_database_is_there_for_whom_it_is_asked() {
    let country = |fleet: &Fleet| {
        let known = fleet.countries.as_ref();
        known.and_then(|known| known.country_of("192.0.2.1".parse().unwrap()))
    };
    assert_eq!(country(&good(WHOLE)), "AT".parse().ok());
    // Nobody asks: then a look into it for each request would be for nothing.
    let unused = good(&WHOLE.replace("      countries: [AT, NO, XK]", "      #"));
    assert!(unused.countries.is_none());
    assert_eq!(
        unused.warnings,
        ["balancer.yaml:5:10: `balance.geoip` changes nothing: no server has `countries`"]
    );
}

#[test]
fn a_salt_may_come_from_the_environment_and_is_shown_nowhere() {
    let fleet = good(WHOLE);
    assert_eq!(fleet.balance.policy, Policy::ClientHash(Key::of("grain-from-environment")));
    let plain = good(&WHOLE.replace("  salt:", "  # salt:"));
    assert_eq!(plain.balance.policy, Policy::ClientHash(Key::of("")));
    assert!(!format!("{fleet:?}").contains("grain"), "{fleet:?}");
}
