//! The database of countries is followed like the configuration that names it.

use std::fs;

use icecast_balancer::reload::{self, Outcome};

use crate::support::eventually;
use crate::support::mmdb::Mmdb;

use super::{AUSTRIA, GEOIP, GERMANY, Lab, country, yaml};

const SETTINGS: &[&str] = &["clients: {countries: [AT], only: true}", "clients: {countries: [DE]}"];

/// As `geoipupdate` does it.
fn replace(lab: &Lab, bytes: &[u8]) {
    let file = lab.folder.path().join("country.mmdb");
    fs::write(lab.folder.path().join("new"), bytes).unwrap();
    fs::rename(lab.folder.path().join("new"), file).unwrap();
}

#[tokio::test]
async fn a_new_database_is_in_force_and_a_broken_one_never_is() {
    let lab = Lab::start(SETTINGS, GEOIP).await;
    assert_eq!([lab.sent(AUSTRIA).await, lab.sent(GERMANY).await], ["r0", "r1"]);

    replace(&lab, b"<html>404 Not Found</html>");
    eventually("it is refused", async || {
        lab.balancer.status().await["config"]["refused"].is_string()
    })
    .await;
    let refused = lab.balancer.status().await["config"]["refused"].to_string();
    assert!(refused.contains("cannot be used: it is not a MaxMind database"), "{refused}");
    assert!(refused.contains("balancer.yaml:5:18"), "where it is named: {refused}");
    let successful = "icecast_balancer_config_last_reload_successful";
    assert_eq!(lab.balancer.metric(successful).await, Some(0.0));
    assert_eq!([lab.sent(AUSTRIA).await, lab.sent(GERMANY).await], ["r0", "r1"]);

    replace(&lab, &Mmdb::of_countries(&[("198.51.100.0/24", "AT"), ("192.0.2.0/24", "DE")]));
    eventually("the countries have changed hands", async || {
        lab.sent(GERMANY).await == "r0" && lab.sent(AUSTRIA).await == "r1"
    })
    .await;
    assert_eq!(lab.balancer.metric(successful).await, Some(1.0));
    assert!(lab.balancer.status().await["config"]["refused"].is_null());
}

#[tokio::test]
async fn the_same_database_written_anew_is_no_change() {
    let lab = Lab::start(SETTINGS, GEOIP).await;
    replace(&lab, &fs::read(country::fixture()).unwrap());
    assert_eq!(lab.balancer.reload.reload().await, Some(Outcome::Unchanged));
    replace(&lab, &Mmdb::of_countries(&[("192.0.2.0/24", "AT")]));
    let Some(Outcome::Applied(changes)) = lab.balancer.reload.reload().await else {
        panic!("it is another one");
    };
    assert!(changes.servers.changed.is_empty(), "{changes}");
}

#[tokio::test]
async fn a_broken_database_is_a_mistake_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("balancer.yaml");
    fs::write(&config, yaml(&[], &[], GEOIP)).unwrap();
    let told = |what: &str| {
        let problems = reload::load(&config).map(|_| ()).unwrap_err().to_string();
        assert!(problems.contains("balancer.yaml:5:18"), "{problems}");
        assert!(problems.contains(what), "{problems}");
    };
    told("No such file");
    let file = folder.path().join("country.mmdb");
    let whole = fs::read(country::fixture()).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    told("it is not a MaxMind database, or damaged");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    told("is a directory");
}
