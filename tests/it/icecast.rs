//! Icecast's statistics, as Icecast 2.4.4 wrote them and as nobody should ever write them.

mod large_documents;
mod live_feed;
mod numbers;
mod other_icecasts;
mod properties;
mod writers;

use icecast_balancer::icecast::admin::admin;
use icecast_balancer::icecast::slots::slots;
use icecast_balancer::icecast::status_json::status_json;
use icecast_balancer::icecast::{Activity, Limit, Malformed, MountReport, Report};

use Activity::{Active, Idle};
use Limit::{Listeners, Unknown, Unlimited};

/// What one relay said at one moment in each of its documents.
struct Scene {
    slots: &'static [u8],
    load: &'static [u8],
    admin: &'static [u8],
    status_json: &'static [u8],
}

macro_rules! scene {
    ($name:literal) => {
        Scene {
            slots: include_bytes!(concat!("../fixtures/icecast/slots-", $name, ".xml")),
            load: include_bytes!(concat!("../fixtures/icecast/load-", $name, ".xml")),
            admin: include_bytes!(concat!("../fixtures/icecast/admin-", $name, ".xml")),
            status_json: include_bytes!(concat!(
                "../fixtures/icecast/status-json-",
                $name,
                ".json"
            )),
        }
    };
}

const NO_MOUNTS: Scene = scene!("no-mounts");
const ONE_MOUNT: Scene = scene!("one-mount");
const THREE_MOUNTS: Scene = scene!("three-mounts");
const FULL_MOUNT: Scene = scene!("full-mount");
const HIDDEN_MOUNT: Scene = scene!("hidden-mount");
const IDLE_ON_DEMAND: Scene = scene!("idle-on-demand");
const ODD_NAMES: Scene = scene!("odd-names");
const ODD_TITLES: Scene = scene!("odd-titles");
const BAD_UTF8_NAME: Scene = scene!("bad-utf8-name");
const CONTROL_CHARACTER_NAME: Scene = scene!("control-character-name");

/// The mounts of [`ODD_NAMES`], and of the scenes recorded with them.
const ODD: [&str; 6] = [
    "/it's.mp3",
    "/li\nne.mp3",
    "/plain.mp3",
    "/q\"uo\\te<x>&amp;.mp3",
    "/sp ace.mp3",
    "/\u{fc}ml\u{e4}ut.mp3",
];

fn mount(name: &str, listeners: u64, limit: Limit, activity: Activity) -> MountReport {
    MountReport { name: name.to_owned(), listeners: Some(listeners), limit, activity, bytes: None }
}

/// What the `load.xsl` of 2010 makes of `mounts`.
fn as_load_tells(mounts: &[MountReport]) -> Vec<MountReport> {
    let told = |mount: &MountReport| MountReport {
        name: mount.name.clone(),
        listeners: None,
        limit: match mount.limit {
            Listeners(most) => Listeners(most.saturating_sub(mount.listeners.unwrap_or(0))),
            other => other,
        },
        activity: Active,
        bytes: None,
    };
    mounts.iter().map(told).collect()
}

/// What `status-json.xsl` makes of `mounts`.
fn as_status_json_tells(mounts: &[MountReport]) -> Vec<MountReport> {
    mounts.iter().map(|mount| MountReport { limit: Unknown, ..mount.clone() }).collect()
}

/// Asserts that every document of `scene` tells `expected` as far as it can.
fn assert_told(scene: &Scene, expected: &[MountReport]) {
    // How much the sources had sent when the scene was recorded is nobody's expectation.
    let still = |mount: MountReport| MountReport { bytes: None, ..mount };
    let mounts = |report: Result<Report, Malformed>| {
        report.map(|report| report.mounts.into_iter().map(still).collect::<Vec<_>>())
    };
    assert_eq!(mounts(slots(scene.slots)), Ok(expected.to_vec()), "slots");
    assert_eq!(mounts(slots(scene.load)), Ok(as_load_tells(expected)), "load");
    assert_eq!(mounts(admin(scene.admin)), Ok(expected.to_vec()), "admin");
    assert_eq!(
        mounts(status_json(scene.status_json)),
        Ok(as_status_json_tells(expected)),
        "status-json"
    );
}

fn names(report: Result<Report, Malformed>) -> Option<Vec<String>> {
    Some(report.ok()?.mounts.into_iter().map(|mount| mount.name).collect())
}

fn odd_names() -> Vec<String> {
    ODD.map(str::to_owned).to_vec()
}

#[test]
fn an_icecast_without_sources_has_no_mounts() {
    assert_told(&NO_MOUNTS, &[]);
}

#[test]
fn an_icecast_that_has_just_started_forgets_a_brace() {
    let document = include_bytes!("../fixtures/icecast/status-json-just-started.json");
    assert_eq!(status_json(document), Ok(Report::default()));
}

#[test]
fn one_mount_is_told() {
    assert_told(&ONE_MOUNT, &[mount("/audio.ogg", 0, Listeners(5), Active)]);
}

#[test]
fn three_mounts_are_told_with_their_limits_or_without() {
    assert_told(
        &THREE_MOUNTS,
        &[
            mount("/audio.ogg", 0, Listeners(5), Active),
            mount("/radio.mp3", 0, Unlimited, Active),
            mount("/tv.ogv", 0, Listeners(3), Active),
        ],
    );
}

#[test]
fn a_full_mount_is_told() {
    assert_told(
        &FULL_MOUNT,
        &[
            mount("/audio.ogg", 0, Listeners(5), Active),
            mount("/radio.mp3", 0, Unlimited, Active),
            mount("/tv.ogv", 3, Listeners(3), Active),
        ],
    );
}

#[test]
fn the_relays_clients_are_its_listeners_and_sources() {
    let clients = |report: Result<Report, Malformed>| report.map(|report| report.clients);
    assert_eq!(clients(slots(FULL_MOUNT.slots)), Ok(Some(6)));
    assert_eq!(clients(admin(FULL_MOUNT.admin)), Ok(Some(6)));
    assert_eq!(clients(slots(FULL_MOUNT.load)), Ok(None));
    assert_eq!(clients(status_json(FULL_MOUNT.status_json)), Ok(None));
}

#[test]
fn a_hidden_mount_is_told_to_the_admin_alone() {
    let public = ["/audio.ogg", "/radio.mp3", "/tv.ogv"].map(str::to_owned).to_vec();
    assert_eq!(names(slots(HIDDEN_MOUNT.slots)), Some(public.clone()));
    assert_eq!(names(slots(HIDDEN_MOUNT.load)), Some(public.clone()));
    assert_eq!(names(status_json(HIDDEN_MOUNT.status_json)), Some(public));
    let all = admin(HIDDEN_MOUNT.admin).unwrap().mounts;
    let secret = all.into_iter().find(|mount| mount.name == "/secret.mp3");
    assert_eq!(secret.map(|mount| mount.limit), Some(Listeners(7)));
}

#[test]
fn a_relay_on_demand_that_nobody_hears_is_idle() {
    let idle = [mount("/audio.ogg", 0, Unlimited, Idle), mount("/tv.ogv", 0, Listeners(100), Idle)];
    assert_told(&IDLE_ON_DEMAND, &idle);
}

#[test]
fn a_mount_may_be_called_anything() {
    assert_told(&ODD_NAMES, &ODD.map(|name| mount(name, 0, Unlimited, Active)));
}

#[test]
fn titles_neither_break_nor_forge_anything() {
    let listeners = |name| if name == "/it's.mp3" { 2 } else { 0 };
    assert!(serde_json::from_slice::<serde_json::Value>(ODD_TITLES.status_json).is_err());
    assert_told(&ODD_TITLES, &ODD.map(|name| mount(name, listeners(name), Unlimited, Active)));
}

#[test]
fn a_name_that_is_not_utf_8_costs_only_its_mount() {
    assert_eq!(names(slots(BAD_UTF8_NAME.slots)), Some(odd_names()));
    assert_eq!(names(slots(BAD_UTF8_NAME.load)), Some(odd_names()));
    assert_eq!(names(status_json(BAD_UTF8_NAME.status_json)), Some(odd_names()));
    // Icecast's own XML writer takes the name for another one, which nobody asks for.
    let told = names(admin(BAD_UTF8_NAME.admin)).unwrap();
    assert!(ODD.iter().all(|name| told.iter().any(|told| told == name)), "{told:?}");
}

#[test]
fn a_control_character_in_a_name_costs_only_its_mount() {
    assert_eq!(names(slots(CONTROL_CHARACTER_NAME.slots)), Some(odd_names()));
    assert_eq!(names(slots(CONTROL_CHARACTER_NAME.load)), Some(odd_names()));
    assert_eq!(names(admin(CONTROL_CHARACTER_NAME.admin)), Some(odd_names()));
    let told = names(status_json(CONTROL_CHARACTER_NAME.status_json)).unwrap();
    assert!(ODD.iter().all(|name| told.iter().any(|told| told == name)), "{told:?}");
}
