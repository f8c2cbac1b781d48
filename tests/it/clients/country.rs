//! The database of countries: the fixture that other tests use, and what is no such database.

use std::path::PathBuf;
use std::{env, fs};

use icecast_balancer::country::Database;

use crate::support::mmdb::{Mmdb, map, text};

/// Networks for documentation, as if they were somewhere.
const COUNTRIES: &[(&str, &str)] = &[
    ("192.0.2.0/24", "AT"),
    ("2001:db8:a::/48", "AT"),
    ("198.51.100.0/24", "DE"),
    ("2001:db8:d::/48", "DE"),
    ("203.0.113.0/25", "US"),
    ("203.0.113.128/25", "ZZ"),
];

pub(crate) fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/geoip/country.mmdb")
}

/// Where `UPDATE_FIXTURES` is set, it is written anew.
#[test]
fn the_fixture_is_what_the_writer_writes() {
    let bytes = Mmdb::of_countries(COUNTRIES);
    if env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(fixture(), &bytes).unwrap();
    }
    assert_eq!(fs::read(fixture()).unwrap(), bytes);
}

#[test]
fn a_database_of_cities_knows_countries() {
    let mut cities = Mmdb::new("Test-City");
    let country = map(&[("geoname_id", text("1")), ("iso_code", text("AT"))]);
    cities.add("192.0.2.0/24", &map(&[("city", map(&[])), ("country", country)]));
    // A place in no country, such as a satellite's.
    cities.add("198.51.100.0/24", &map(&[("city", map(&[]))]));
    let database = Database::new(cities.bytes()).unwrap();
    let of = |address: &str| database.country_of(address.parse().unwrap());
    assert_eq!(of("192.0.2.1"), "AT".parse().ok());
    assert_eq!(of("198.51.100.1"), None);
}

#[test]
fn a_database_of_something_else_is_refused() {
    let mut networks = Mmdb::new("Test-ASN");
    networks.add("192.0.2.0/24", &map(&[("autonomous_system_organization", text("Example"))]));
    let wrong = Database::new(networks.bytes()).unwrap_err().to_string();
    assert_eq!(wrong, "it knows no countries, it is of the kind \"Test-ASN\"");
}

#[test]
fn a_country_that_is_not_text_is_refused() {
    let mut odd = Mmdb::new("Test-Country");
    odd.add("192.0.2.0/24", &map(&[("country", map(&[("iso_code", map(&[]))]))]));
    assert!(Database::new(odd.bytes()).is_err());
}
