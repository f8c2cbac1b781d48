//! The players people use, each with the arguments that let it play without screen and speaker.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::lab::Lab;
use super::process::{Process, Program, eventually};

/// Whom players run as where the tests run as root.
const NOBODY: (&str, &str) = ("nobody", "nogroup");

/// A player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Player {
    /// GStreamer's `playbin`, which desktop players are built on.
    GStreamer,
    /// xine, with a screen that nobody sees.
    Xine,
    /// MPlayer.
    Mplayer,
    /// VLC without its interface.
    Vlc,
    /// mpv.
    Mpv,
    /// ffplay.
    Ffplay,
    /// ffmpeg, which records and transcodes.
    Ffmpeg,
    /// `curl -L`.
    Curl,
    /// wget.
    Wget,
    /// ogg123, for Vorbis.
    Ogg123,
    /// mpg123, for MP3.
    Mpg123,
    /// An `<audio>` element in Chromium.
    Chromium,
}

/// A player that plays one URL. Dropping it ends it.
pub(crate) struct Playing {
    player: Process,
    _screen: Option<Process>,
}

impl Player {
    /// What its `User-Agent` contains.
    pub(crate) fn agent(self) -> &'static str {
        match self {
            Self::GStreamer => "GStreamer souphttpsrc",
            Self::Xine => "xine/",
            Self::Mplayer => "MPlayer",
            Self::Vlc => "VLC/",
            Self::Mpv => "libmpv",
            Self::Ffplay | Self::Ffmpeg => "Lavf/",
            Self::Curl => "curl/",
            Self::Wget => "Wget/",
            Self::Ogg123 => "ogg123/",
            Self::Mpg123 => "mpg123/",
            Self::Chromium => "HeadlessChrome/",
        }
    }

    /// Its name, as people write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GStreamer => "GStreamer",
            Self::Xine => "xine",
            Self::Mplayer => "MPlayer",
            Self::Vlc => "VLC",
            Self::Mpv => "mpv",
            Self::Ffplay => "ffplay",
            Self::Ffmpeg => "ffmpeg",
            Self::Curl => "curl",
            Self::Wget => "wget",
            Self::Ogg123 => "ogg123",
            Self::Mpg123 => "mpg123",
            Self::Chromium => "Chromium",
        }
    }

    /// Lets it play `url`, in a folder of its own called `name`.
    pub(crate) fn play(self, lab: &Lab, name: &str, url: &str) -> Playing {
        self.start(lab, name, &[], url)
    }

    /// Lets it play the list at `url`, with the option that some want for that.
    pub(crate) fn play_list(self, lab: &Lab, name: &str, url: &str) -> Playing {
        let option: &[&str] = match self {
            Self::Mplayer => &["-playlist"],
            Self::Mpg123 => &["-@"],
            _ => &[],
        };
        self.start(lab, name, option, url)
    }

    /// The same, over and over.
    pub(crate) fn repeat_list(self, lab: &Lab, name: &str, url: &str) -> Playing {
        let option: &[&str] = match self {
            Self::Vlc => &["--loop"],
            Self::Mpv => &["--loop-playlist=inf"],
            _ => &[],
        };
        self.start(lab, name, option, url)
    }

    /// The same by https, where `trusted` has the certificates that it may trust, in a folder with
    /// nothing else and all in one file.
    pub(crate) fn play_trusting(
        self,
        lab: &Lab,
        name: &str,
        url: &str,
        trusted: (&Path, &Path),
    ) -> Playing {
        let (folder, file) = (trusted.0.display(), trusted.1.display());
        let more = match self {
            Self::Vlc => format!("--gnutls-dir-trust={folder}"),
            Self::Curl => format!("--cacert={file}").replacen('=', " ", 1),
            Self::Wget => format!("--ca-certificate={file}"),
            Self::Chromium => "--ignore-certificate-errors".to_owned(),
            // These look at no certificate unless they are told to.
            _ => String::new(),
        };
        self.start(lab, name, &more.split_whitespace().collect::<Vec<_>>(), url)
    }

    fn start(self, lab: &Lab, name: &str, option: &[&str], url: &str) -> Playing {
        let folder = lab.folder(&format!("player-{name}"), NOBODY.0);
        let screen = (self == Self::Xine).then(|| {
            let folder = lab.folder(&format!("screen-{name}"), "nobody");
            Program::new("Xvfb", "xvfb")
                .words("-displayfd 1 -ac -nolisten tcp -screen 0 640x480x24")
                .start(&folder)
        });
        let program = match self {
            Self::GStreamer => user("gst-launch-1.0", "gstreamer1.0-tools")
                .args(["-m", "playbin", "video-sink=fakesink", "audio-sink=fakesink sync=true"])
                .args([format!("uri={url}")]),
            Self::Xine => user("xine", "xine-ui")
                .env("DISPLAY", display(screen.as_ref().expect("xine has a screen")))
                .words("-V none -A none -g --no-splash --no-lirc")
                .args([url]),
            Self::Mplayer => user("mplayer", "mplayer")
                .words("-nolirc -noconfig all -nocache -vo null -ao null")
                .args(option)
                .args([url]),
            Self::Vlc => user("cvlc", "vlc-bin")
                .words("-I dummy --no-color --vout dummy --aout adummy")
                .args(option)
                .args([url]),
            Self::Mpv => {
                user("mpv", "mpv").words("--no-config --vo=null --ao=null").args(option).args([url])
            }
            Self::Ffplay => user("ffplay", "ffmpeg")
                .env("SDL_VIDEODRIVER", "dummy")
                .env("SDL_AUDIODRIVER", "dummy")
                .words("-hide_banner -nodisp -autoexit")
                .args([url]),
            Self::Ffmpeg => user("ffmpeg", "ffmpeg")
                .words("-hide_banner -nostdin -re -i")
                .args([url])
                .words("-f null -"),
            Self::Curl => user("curl", "curl").words("-sSL -o heard").args(option).args([url]),
            Self::Wget => user("wget", "wget").words("-nv -O heard").args(option).args([url]),
            Self::Ogg123 => user("ogg123", "vorbis-tools").words("-q -d null").args([url]),
            Self::Mpg123 => user("mpg123", "mpg123").words("-q -o dummy").args(option).args([url]),
            Self::Chromium => chromium(&folder, url).args(option),
        };
        let player = program.env("HOME", &folder).env("LC_ALL", "C.UTF-8").start(&folder);
        Playing { player, _screen: screen }
    }
}

impl Playing {
    /// Fails if it has given up.
    pub(crate) fn still_plays(&mut self) {
        if let Some(status) = self.player.ended() {
            panic!("the player ended by itself: {status}");
        }
    }

    /// Whether it has given up, or was stopped.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.player.ended().is_some()
    }

    /// Whether it has given up: it ended, or a page was told of an error.
    pub(crate) fn gave_up(&mut self) -> bool {
        self.player.ended().is_some() || self.player.printed().contains("error: ")
    }

    /// Waits until it prints `sign`.
    pub(crate) fn prints(&self, sign: &str) {
        eventually(&format!("the player prints {sign:?}"), Duration::from_secs(30), || {
            self.player.printed().contains(sign).then_some(())
        });
    }

    /// Ends it, as its user would.
    pub(crate) fn stop(&mut self) {
        self.player.stop_with(Signal::INT);
    }
}

fn user(program: &str, package: &str) -> Program {
    Program::new_as(NOBODY, program, package)
}

/// Chromium with a page that plays `url` and tells on the console how far it has come.
fn chromium(folder: &Path, url: &str) -> Program {
    let page = folder.join("page.html");
    let html = format!(
        "<!doctype html><audio src='{url}'></audio><script>
const audio = document.querySelector('audio');
audio.addEventListener('error', () => console.log('error: ' + audio.error.message));
audio.addEventListener('timeupdate', () => {{
  for (const second of [1, 2, 3]) if (audio.currentTime >= second) console.log('played ' + second);
}});
audio.play();
</script>"
    );
    fs::write(&page, html).unwrap();
    browser(folder)
        .words("--autoplay-policy=no-user-gesture-required")
        .args([format!("file://{}", page.display())])
}

/// Chromium at a page by https, whose certificate it takes as it is. `relay.example` is this host.
pub(crate) fn browser_at(lab: &Lab, url: &str) -> Playing {
    let folder = lab.folder("chromium", NOBODY.0);
    let player = browser(&folder)
        .words("--autoplay-policy=no-user-gesture-required --ignore-certificate-errors")
        // The last word counts.
        .args(["--host-resolver-rules=MAP relay.example 127.0.0.1 , MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"])
        .args([url])
        .env("HOME", &folder)
        .start(&folder);
    Playing { player, _screen: None }
}

/// Chromium without a screen, whose console is its log, and which reaches this host alone.
pub(crate) fn browser(folder: &Path) -> Program {
    Program::new_as(NOBODY, "chromium", "chromium")
        .words("--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --mute-audio")
        .words("--no-first-run --disable-background-networking --disable-component-update")
        .words("--disable-sync --disable-default-apps --enable-logging=stderr")
        .words("--proxy-server=direct://")
        .args(["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"])
        .args([format!("--user-data-dir={}", folder.join("profile").display())])
}

/// The display that Xvfb has chosen, once it has.
fn display(screen: &Process) -> String {
    eventually("Xvfb has a display", Duration::from_secs(10), || {
        let printed = screen.printed();
        let number = printed.lines().find(|line| line.parse::<u32>().is_ok())?;
        printed.ends_with('\n').then(|| format!(":{number}"))
    })
}
