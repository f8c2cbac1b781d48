//! The pictures of the page in the documentation. `UPDATE_PICTURES=1` takes them anew:
//!
//! ```sh
//! UPDATE_PICTURES=1 cargo test --test e2e picture
//! ```

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use crate::support::balancer::Balancer;
use crate::support::lab::Lab;
use crate::support::process::Program;

use super::{address, answer, browse};

/// Name, address, and listeners and limit by mount of each relay that is there.
type Relay = (&'static str, &'static str, &'static [(&'static str, u64, u64)]);

const RELAYS: [Relay; 3] = [
    (
        "vienna",
        "https://vienna.example.org:8000",
        &[
            ("/saal1.ogv", 212, 250),
            ("/saal2.ogv", 88, 250),
            ("/saal3.ogv", 40, 40),
            ("/talks/opening.ogg", 31, 50),
        ],
    ),
    (
        "berlin",
        "https://berlin.example.org:8000",
        &[
            ("/saal1.ogv", 197, 250),
            ("/saal2.ogv", 91, 250),
            ("/saal3.ogv", 40, 40),
            ("/talks/opening.ogg", 26, 50),
            ("/talks/keynote.ogg", 12, 50),
        ],
    ),
    ("graz", "https://graz.example.org:8000", &[("/saal1.ogv", 61, 100), ("/saal2.ogv", 30, 100)]),
];

/// A relay that always tells the same; its address.
fn telling(mounts: &[(&str, u64, u64)]) -> String {
    let mut document = "<slots version=\"1\">".to_owned();
    for (name, listeners, limit) in mounts {
        write!(
            document,
            "<mount name=\"{name}\" listeners=\"{listeners}\" max_listeners=\"{limit}\" active=\"1\"/>"
        )
        .unwrap();
    }
    let text = format!("HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n{document}</slots>");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            answer(stream, &text);
        }
    });
    address
}

/// A station in the evening: one hall is full, and one relay is gone.
fn evening(lab: &Lab) -> Balancer {
    let mut config = "servers:\n".to_owned();
    for (name, url, mounts) in RELAYS {
        let state = if name == "graz" { "draining" } else { "active" };
        let asked = telling(mounts);
        writeln!(
            config,
            "  {name}: {{url: '{url}', max_listeners: 500, state: {state}, \
             stats: {{source: slots, url: '{asked}'}}}}"
        )
        .unwrap();
    }
    let gone = "http://127.0.0.1:9";
    writeln!(config, "  linz: {{url: 'https://linz.example.org:8000', stats: {{url: '{gone}'}}}}")
        .unwrap();
    config += "streams:\n  /saal1.ogv:\n  /saal2.ogv:\n  /saal3.ogv: {servers: [vienna, berlin]}\n  \
               /talks/*: {servers: [vienna, berlin]}\n";
    let balancer = Balancer::start(lab, &config);
    balancer.wait_for_health("linz", "down");
    balancer
}

#[test]
fn the_pictures_show_what_the_page_is() {
    let lab = Lab::new();
    let balancer = evening(&lab);
    let folder = lab.folder("pictures", "root");
    for (name, dress, width, height) in
        [("status-page", "light", "1100", "900"), ("status-page-phone", "dark", "360", "740")]
    {
        let taken = folder.join(format!("{name}.png"));
        let path = taken.to_str().unwrap();
        browse(&lab, "shoot", &address(&balancer), &[path, dress, width, height]);
        let shown = size(&taken);
        assert_eq!(shown, [width, height].map(|pixels| pixels.parse::<u32>().unwrap()));
        let documented =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/images/{name}.png"));
        if std::env::var_os("UPDATE_PICTURES").is_some() {
            // A palette makes it a third as large.
            let palette = "split[a][b];[a]palettegen=max_colors=96[p];[b][p]paletteuse=dither=none";
            let ffmpeg = Program::new("ffmpeg", "ffmpeg").words("-loglevel error -y -i");
            let ffmpeg = ffmpeg.args([path, "-vf", palette]).args([documented.as_os_str()]);
            assert_eq!(ffmpeg.run(&folder).0, Some(0));
        }
        assert_eq!(size(&documented), shown, "{name} in the documentation");
    }
}

/// Width and height of a PNG.
fn size(path: &Path) -> [u32; 2] {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(&bytes[1..4], b"PNG");
    [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
}
