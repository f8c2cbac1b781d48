//! What our stylesheet `slots.xsl` makes of a relay's statistics, and the `load.xsl` of 2010.
//!
//! Both stand in a relay's web root, need no password and carry no stream titles, so that nothing a
//! source says about itself can break or forge them.

use super::xml::{self, Kind, Tag, Tags};
use super::{Activity, Limit, Malformed, MountReport, Report, listing::Listing, number};

/// Reads the output of either stylesheet; the root element says which one it is.
///
/// The clients of the whole relay are told by `slots.xsl` alone. `load.xsl` tells free slots
/// instead of listeners, and every mount it lists counts as active.
pub fn slots(body: &[u8]) -> Result<Report, Malformed> {
    let (root, tags) = xml::open(body, &["slots", "load"], "is slots.xsl installed?")?;
    if root.name == b"load" {
        return Ok(listing(tags, mount_of_load).into_report(None));
    }
    let [clients] = root.attributes(["clients"]).unwrap_or_default();
    let clients = clients.as_deref().and_then(number::count);
    Ok(listing(tags, mount_of_slots).into_report(clients))
}

fn listing(tags: Tags<'_>, read: impl Fn(&Tag<'_>) -> Option<MountReport>) -> Listing {
    let mut listing = Listing::default();
    for tag in tags {
        if tag.name == b"mount"
            && tag.kind != Kind::End
            && let Some(mount) = read(&tag)
        {
            listing.add(mount);
        }
    }
    listing
}

/// `<mount name="/x" listeners="1" max_listeners="2" active="1"/>`; `None` for a broken one.
fn mount_of_slots(tag: &Tag<'_>) -> Option<MountReport> {
    let [name, listeners, most, active, bytes] =
        tag.attributes(["name", "listeners", "max_listeners", "active", "bytes"])?;
    let listeners = listeners.as_deref().and_then(number::count);
    Some(MountReport {
        name: name?,
        listeners,
        limit: number::limit(most.as_deref().unwrap_or_default(), listeners),
        activity: if active.as_deref() == Some("0") { Activity::Idle } else { Activity::Active },
        bytes: bytes.as_deref().and_then(number::bytes),
    })
}

/// `<mount name="/x">1</mount>`; `None` for a broken one.
fn mount_of_load(tag: &Tag<'_>) -> Option<MountReport> {
    let [name] = tag.attributes(["name"])?;
    Some(MountReport {
        name: name?,
        listeners: None,
        limit: if tag.kind == Kind::Start { number::free(&tag.text()) } else { Limit::Unknown },
        activity: Activity::Active,
        bytes: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report_of(mounts: &str) -> Vec<MountReport> {
        slots(format!("<slots version=\"1\">{mounts}</slots>").as_bytes()).unwrap().mounts
    }

    fn names(document: &[u8]) -> Vec<String> {
        slots(document).unwrap().mounts.into_iter().map(|mount| mount.name).collect()
    }

    fn free_slots(text: &str) -> Limit {
        let document = format!("<load><mount name=\"/a\">{text}</mount></load>");
        slots(document.as_bytes()).unwrap().mounts[0].limit
    }

    #[test]
    fn a_mount_tells_its_listeners_and_its_limit() {
        assert_eq!(
            report_of(r#"<mount name="/a" listeners="1" max_listeners="3" active="1"/>"#),
            [MountReport {
                name: "/a".to_owned(),
                listeners: Some(1),
                limit: Limit::Listeners(3),
                activity: Activity::Active,
                bytes: None,
            }]
        );
    }

    #[test]
    fn a_mount_may_tell_nothing_but_its_name() {
        assert_eq!(
            report_of("<mount name='/a'></mount>"),
            [MountReport {
                name: "/a".to_owned(),
                listeners: None,
                limit: Limit::Unknown,
                activity: Activity::Active,
                bytes: None,
            }]
        );
    }

    #[test]
    fn a_mount_tells_how_much_its_source_has_sent() {
        assert_eq!(report_of("<mount name='/a' bytes='4711'/>")[0].bytes, Some(4711));
        assert_eq!(report_of("<mount name='/a' bytes=''/>")[0].bytes, None);
    }

    #[test]
    fn a_mount_without_a_stream_is_idle() {
        assert_eq!(report_of("<mount name='/a' active='0'/>")[0].activity, Activity::Idle);
    }

    #[test]
    fn the_relays_clients_are_counted() {
        let clients = |root: &str| slots(root.as_bytes()).unwrap().clients;
        assert_eq!(clients("<slots version='1' clients='7'/>"), Some(7));
        assert_eq!(clients("<slots version='1' clients=''/>"), None);
        assert_eq!(clients("<slots version='1'/>"), None);
    }

    #[test]
    fn a_broken_mount_costs_only_itself() {
        let broken: [&[u8]; 7] = [
            b"<mount name='/\xe9'/>",
            b"<mount name='/\x01'/>",
            b"<mount name='/&nbsp;'/>",
            b"<mount name='/x' name='/y'/>",
            b"<mount name='/x\" listeners='1'/>",
            b"<mount name=/x>",
            b"<mount",
        ];
        for broken in broken {
            let parts: [&[u8]; 5] =
                [b"<slots>", b"<mount name='/a'/>", broken, b"<mount name='/b'/>", b"</slots>"];
            assert_eq!(names(&parts.concat()), ["/a", "/b"], "{broken:?}");
        }
    }

    #[test]
    fn only_mounts_are_mounts() {
        assert_eq!(names(b"<slots><mountain name='/a'/><m name='/b'/></slots>"), [""; 0]);
    }

    #[test]
    fn free_slots_stand_in_for_a_limit_in_the_format_of_2010() {
        assert_eq!(
            slots(b"<load><mount name='/a'>12</mount></load>"),
            Ok(Report {
                clients: None,
                mounts: vec![MountReport {
                    name: "/a".to_owned(),
                    listeners: None,
                    limit: Limit::Listeners(12),
                    activity: Activity::Active,
                    bytes: None,
                }]
            })
        );
    }

    #[test]
    fn free_slots_may_be_unlimited_or_absurd() {
        assert_eq!(free_slots("\n 12 \n"), Limit::Listeners(12));
        assert_eq!(free_slots("NaN"), Limit::Unlimited);
        assert_eq!(free_slots("-1"), Limit::Listeners(0));
        assert_eq!(free_slots(""), Limit::Unknown);
        assert_eq!(free_slots("&many;"), Limit::Unknown);
    }

    #[test]
    fn one_unlimited_mount_does_not_empty_its_relay() {
        let document = b"<load><mount name='/a'>NaN</mount><mount name='/b'>3</mount></load>";
        let limits: Vec<_> = slots(document).unwrap().mounts.iter().map(|m| m.limit).collect();
        assert_eq!(limits, [Limit::Unlimited, Limit::Listeners(3)]);
    }
}
