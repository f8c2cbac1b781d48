//! What holds for every document, sound, damaged or senseless.

use std::collections::HashSet;

use icecast_balancer::icecast::Activity::{Active, Idle};
use icecast_balancer::icecast::Limit::{Listeners, Unlimited};
use icecast_balancer::icecast::admin::admin;
use icecast_balancer::icecast::shoutcast::{seven, statistics};
use icecast_balancer::icecast::slots::slots;
use icecast_balancer::icecast::status_json::status_json;
use icecast_balancer::icecast::{Malformed, MountReport, Report};
use proptest::prelude::*;

use super::writers::{admin_xml, load_xml, odd_status_json_text, slots_xml, status_json_text};
use super::{FULL_MOUNT, IDLE_ON_DEMAND, Scene, THREE_MOUNTS};
use super::{as_load_tells, as_status_json_tells, mount, names};

type Parser = fn(&[u8]) -> Result<Report, Malformed>;

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for (parser, start, end) in FRAMES {
            let _outcome = parser(&bytes);
            let _outcome = parser(&[start, &bytes, end].concat());
        }
    }

    #[test]
    fn no_markup_makes_a_parser_panic(parts in prop::collection::vec(markup(), 0..60)) {
        let bytes = parts.concat();
        for (parser, start, end) in FRAMES {
            let _outcome = parser(&bytes);
            let _outcome = parser(&[start, &bytes, end].concat());
        }
    }

    #[test]
    fn a_damaged_document_invents_no_mount(
        scene in prop::sample::select(vec![0_usize, 1, 2]),
        damages in prop::collection::vec(damage(), 1..8),
    ) {
        let scene = [&THREE_MOUNTS, &FULL_MOUNT, &IDLE_ON_DEMAND][scene];
        for (parser, document) in documents(scene) {
            let mut bytes = document.to_vec();
            for damage in &damages {
                damage.apply(&mut bytes);
            }
            for mount in parser(&bytes).unwrap_or_default().mounts {
                let is_there = blank(&bytes)
                    .windows(mount.name.len())
                    .any(|window| window == blank(mount.name.as_bytes()));
                prop_assert!(is_there, "{:?} in {:?}", mount, String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn an_undamaged_mount_outlives_its_neighbours_damage(
        rubbish in "[^<>\"'!?]{0,40}",
    ) {
        let document = format!("<slots><mount name='/a'/><mount {rubbish}<mount name='/b'/></slots>");
        let told = names(slots(document.as_bytes())).unwrap();
        prop_assert_eq!(told, ["/a", "/b"]);
    }

    #[test]
    fn what_a_relay_lists_is_what_the_report_has(mounts in listed()) {
        let told = |report: Result<Report, Malformed>| report.map(|report| report.mounts);
        prop_assert_eq!(told(slots(slots_xml(&mounts).as_bytes())), Ok(mounts.clone()));
        prop_assert_eq!(told(admin(admin_xml(&mounts).as_bytes())), Ok(mounts.clone()));
        prop_assert_eq!(told(slots(load_xml(&mounts).as_bytes())), Ok(as_load_tells(&mounts)));
        let expected = Ok(as_status_json_tells(&mounts));
        prop_assert_eq!(&told(status_json(status_json_text(&mounts).as_bytes())), &expected);
        prop_assert_eq!(&told(status_json(odd_status_json_text(&mounts).as_bytes())), &expected);
    }
}

/// Each parser with what makes a document its own.
const FRAMES: [(Parser, &[u8], &[u8]); 6] = [
    (slots, b"<slots>", b"</slots>"),
    (slots, b"<load>", b"</load>"),
    (admin, b"<icestats>", b"</icestats>"),
    (status_json, b"{\"icestats\":", b"}"),
    (statistics, b"<SHOUTCASTSERVER><STREAMSTATS>", b"</STREAMSTATS></SHOUTCASTSERVER>"),
    (seven, b"<body>", b"</body>"),
];

fn documents(scene: &Scene) -> [(Parser, &'static [u8]); 4] {
    [
        (slots, scene.slots),
        (slots, scene.load),
        (admin, scene.admin),
        (status_json, scene.status_json),
    ]
}

/// White space of any kind is a blank to an XML attribute.
fn blank(bytes: &[u8]) -> Vec<u8> {
    let blank = |&byte: &u8| if byte.is_ascii_whitespace() { b' ' } else { byte };
    bytes.iter().map(blank).collect()
}

/// The words that the formats are made of, and a few that they are not.
fn markup() -> impl Strategy<Value = Vec<u8>> {
    let words: [&[u8]; 34] = [
        b"<",
        b">",
        b"/",
        b"/>",
        b"</",
        b"\"",
        b"'",
        b"=",
        b" ",
        b"&",
        b";",
        b"&#10;",
        b"&#x;",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<mount ",
        b"<source ",
        b"</source>",
        b"name=\"/a",
        b"mount='/b'",
        b"<listeners>",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\\",
        b"\"listenurl\":",
        b"\"http://h/a\"",
        b"\xff",
        b"\x00",
    ];
    prop::sample::select(words.map(<[u8]>::to_vec).to_vec())
}

/// One way to spoil a document; places are parts of its length.
#[derive(Debug, Clone)]
enum Damage {
    Cut { from: f64, length: usize },
    Double { from: f64, length: usize },
    Overwrite { at: f64, byte: u8 },
    Break { at: f64 },
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a length is no more than the length"
        )]
        let place = |part: f64| (bytes.len() as f64 * part) as usize;
        match *self {
            Self::Cut { from, length } => {
                let from = place(from);
                bytes.drain(from..bytes.len().min(from + length));
            }
            Self::Double { from, length } => {
                let from = place(from);
                let piece: Vec<_> = bytes.iter().skip(from).take(length).copied().collect();
                bytes.splice(from..from, piece);
            }
            Self::Overwrite { at, byte } => {
                let at = place(at);
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            Self::Break { at } => bytes.truncate(place(at)),
        }
    }
}

/// No damage writes an escape, because a mount's name would then differ from its bytes.
fn damage() -> impl Strategy<Value = Damage> {
    let bytes = b"<>/\"'=!-[]{}:, \nax09\x00\x01\xff\xc3".to_vec();
    prop_oneof![
        (0.0..1.0, 1..200_usize).prop_map(|(from, length)| Damage::Cut { from, length }),
        (0.0..1.0, 1..200_usize).prop_map(|(from, length)| Damage::Double { from, length }),
        (0.0..1.0, prop::sample::select(bytes))
            .prop_map(|(at, byte)| Damage::Overwrite { at, byte }),
        (0.5..1.0).prop_map(|at| Damage::Break { at }),
    ]
}

/// Mounts of different names, of everything that a name may have in XML.
fn listed() -> impl Strategy<Value = Vec<MountReport>> {
    let limit = prop_oneof![Just(Unlimited), (0..1_u64 << 32).prop_map(Listeners)];
    let activity = prop_oneof![Just(Active), Just(Idle)];
    let mount = ("/[\\PC\n\t\"'<>&\\\\]{0,30}", 0..1_u64 << 32, limit, activity)
        .prop_map(|(name, listeners, limit, activity)| mount(&name, listeners, limit, activity));
    prop::collection::vec(mount, 0..12).prop_map(|mut mounts| {
        let mut names = HashSet::new();
        mounts.retain(|mount| names.insert(mount.name.clone()));
        mounts
    })
}
