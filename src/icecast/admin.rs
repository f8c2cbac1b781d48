//! `/admin/stats`: everything Icecast knows, for those who have its admin password; and
//! `/admin/publicstats`, the part of it that Icecast 2.5 tells everybody: no limits, no hidden mounts.

use std::borrow::Cow;

use super::xml::{self, Kind, Tag};
use super::{Activity, Malformed, MountReport, Report, listing::Listing, number};

/// Reads `/admin/stats` or `/admin/publicstats`. Mounts that are hidden from the public are listed here like any other.
pub fn admin(body: &[u8]) -> Result<Report, Malformed> {
    let (_, tags) = xml::open(body, &["icestats"], "is this the /admin/stats of an Icecast?")?;
    let mut listing = Listing::default();
    let mut clients = None;
    let mut source: Option<Source<'_>> = None;
    // Elements open below the root: values count as the relay's own at 0 and as the source's at 1.
    // Deeper ones belong to something that only Icecasts newer than this parser have.
    let mut depth = 0;
    for tag in tags {
        match (tag.kind, tag.name) {
            (Kind::Start, b"source") => {
                source = Source::named_by(&tag);
                depth = 1;
            }
            (Kind::End, b"source") => {
                if let Some(source) = source.take() {
                    listing.add(source.into_report());
                }
                depth = 0;
            }
            (Kind::Start, name) => {
                match (depth, source.as_mut()) {
                    (0, _) if name == b"clients" => clients = number::count(&tag.text()),
                    (1, Some(source)) => source.learn(&tag),
                    _ => {}
                }
                depth += 1;
            }
            (Kind::End, _) => depth = usize::saturating_sub(depth, 1),
            (Kind::Empty, _) => {}
        }
    }
    Ok(listing.into_report(clients))
}

/// A `<source>` that has not ended yet.
struct Source<'a> {
    mount: String,
    listeners: Option<u64>,
    max_listeners: Cow<'a, str>,
    started: bool,
    bytes: Option<u64>,
}

impl<'a> Source<'a> {
    fn named_by(tag: &Tag<'a>) -> Option<Self> {
        let [mount] = tag.attributes(["mount"])?;
        let mount = mount?;
        let max_listeners = Cow::default();
        Some(Self { mount, listeners: None, max_listeners, started: false, bytes: None })
    }

    fn learn(&mut self, tag: &Tag<'a>) {
        match tag.name {
            b"listeners" => self.listeners = number::count(&tag.text()),
            b"max_listeners" => self.max_listeners = tag.text(),
            b"total_bytes_read" => self.bytes = number::bytes(&tag.text()),
            b"stream_start" | b"stream_start_iso8601" => self.started = true,
            _ => {}
        }
    }

    fn into_report(self) -> MountReport {
        MountReport {
            name: self.mount,
            listeners: self.listeners,
            limit: number::limit(&self.max_listeners, self.listeners),
            activity: if self.started { Activity::Active } else { Activity::Idle },
            bytes: self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icecast::Limit;

    fn read(inside: &str) -> Report {
        admin(format!("<icestats>{inside}</icestats>").as_bytes()).unwrap()
    }

    fn mount_with(inside: &str) -> MountReport {
        read(&format!("<source mount='/a'>{inside}</source>")).mounts[0].clone()
    }

    #[test]
    fn a_source_tells_its_listeners_its_limit_and_its_start() {
        assert_eq!(
            mount_with(
                "<listeners>1</listeners><max_listeners>3</max_listeners>\
                 <stream_start>Mon, 23 Nov 2026 03:55:10 +0000</stream_start>"
            ),
            MountReport {
                name: "/a".to_owned(),
                listeners: Some(1),
                limit: Limit::Listeners(3),
                activity: Activity::Active,
                bytes: None,
            }
        );
    }

    #[test]
    fn a_source_tells_how_much_it_has_sent() {
        let mount = mount_with("<total_bytes_read>4711</total_bytes_read>");
        assert_eq!(mount.bytes, Some(4711));
    }

    #[test]
    fn a_source_that_has_not_started_is_idle() {
        assert_eq!(mount_with("<listeners>0</listeners>").activity, Activity::Idle);
    }

    #[test]
    fn the_limit_does_not_depend_on_the_order_of_elements() {
        let mount =
            mount_with("<max_listeners>3</max_listeners><x/><listeners>1</listeners><y></y>");
        assert_eq!(mount.limit, Limit::Listeners(3));
    }

    #[test]
    fn a_limit_may_be_the_word_for_none() {
        assert_eq!(mount_with("<max_listeners>unlimited</max_listeners>").limit, Limit::Unlimited);
    }

    #[test]
    fn the_relays_clients_are_counted_and_not_a_sources() {
        let report = read(
            "<clients>7</clients><connections>8</connections>\
             <source mount='/a'><clients>9</clients></source>",
        );
        assert_eq!(report.clients, Some(7));
        assert_eq!(read("<source mount='/a'></source>").clients, None);
    }

    #[test]
    fn deeper_elements_are_not_the_sources_own() {
        let mount = mount_with(
            "<listeners>1</listeners><history><listeners>99</listeners></history><max_listeners>\
             3</max_listeners>",
        );
        assert_eq!((mount.listeners, mount.limit), (Some(1), Limit::Listeners(3)));
    }

    #[test]
    fn a_broken_source_costs_only_itself() {
        let broken: [&[u8]; 5] = [
            b"<source mount='/\xe9'><clients>9</clients></source>",
            b"<source mount='/\x01'></source>",
            b"<source></source>",
            b"<source mount='/x></source>",
            b"<source mount='/x'><title>",
        ];
        for broken in broken {
            let parts: [&[u8]; 4] = [
                b"<icestats><clients>7</clients><source mount='/a'></source>",
                broken,
                b"<source mount='/b'><listeners>5</listeners></source>",
                b"</icestats>",
            ];
            let report = admin(&parts.concat()).unwrap();
            let mounts: Vec<_> =
                report.mounts.iter().map(|m| (m.name.as_str(), m.listeners)).collect();
            assert_eq!(mounts, [("/a", None), ("/b", Some(5))], "{broken:?}");
            assert_eq!(report.clients, Some(7), "{broken:?}");
        }
    }

    #[test]
    fn an_undecodable_title_costs_nothing() {
        let document =
            b"<icestats><source mount='/a'><title>\xff</title><listeners>5</listeners></source>\
              </icestats>";
        assert_eq!(admin(document).unwrap().mounts[0].listeners, Some(5));
    }

    #[test]
    fn a_title_cannot_forge_a_source() {
        let mount = mount_with("<title>&lt;listeners&gt;9</title><listeners>5</listeners>");
        assert_eq!(mount.listeners, Some(5));
    }

    #[test]
    fn icecasts_page_for_a_wrong_password_is_refused() {
        let refusal = admin(b"You need to authenticate\r\n").unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "expected <icestats>, found no XML: is this the /admin/stats of an Icecast?"
        );
    }
}
