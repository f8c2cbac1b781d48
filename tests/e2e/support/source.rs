//! Real live sources: ffmpeg plays a test picture and a tone into an Icecast.

use super::icecast::{Icecast, SOURCE_PASSWORD};
use super::lab::Lab;
use super::process::{Process, Program};

/// What is played. Each has at least 16 kB a second, so that seconds show in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Ogg with Theora and Vorbis: a picture with sound.
    Theora,
    /// Ogg with Vorbis.
    Vorbis,
    /// Ogg with Opus.
    Opus,
    /// MP3.
    Mp3,
}

/// A source that plays. Dropping it takes the mount off the air.
pub(crate) struct Source {
    _ffmpeg: Process,
}

impl Stream {
    /// The mount it is played on, here.
    pub(crate) fn mount(self) -> &'static str {
        match self {
            Self::Theora => "/tv.ogv",
            Self::Vorbis => "/vorbis.ogg",
            Self::Opus => "/opus.ogg",
            Self::Mp3 => "/radio.mp3",
        }
    }

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Theora => "Theora",
            Self::Vorbis => "Vorbis",
            Self::Opus => "Opus",
            Self::Mp3 => "MP3",
        }
    }

    fn arguments(self) -> &'static str {
        match self {
            Self::Theora => {
                "-f lavfi -re -i testsrc=size=320x240:rate=15 \
                 -f lavfi -re -i anoisesrc=amplitude=0.1:sample_rate=44100 \
                 -c:v libtheora -q:v 4 -g 15 -c:a libvorbis -b:a 64k -content_type video/ogg -f ogg"
            }
            Self::Vorbis => {
                "-f lavfi -re -i anoisesrc=amplitude=0.1:sample_rate=44100 -ac 2 -c:a libvorbis \
                 -b:a 256k -content_type application/ogg -f ogg"
            }
            Self::Opus => {
                "-f lavfi -re -i sine=frequency=440:sample_rate=48000 -ac 2 -c:a libopus -vbr off \
                 -b:a 160k -content_type application/ogg -f ogg"
            }
            Self::Mp3 => {
                "-f lavfi -re -i sine=frequency=440:sample_rate=44100 -ac 2 -c:a libmp3lame \
                 -b:a 160k -content_type audio/mpeg -f mp3"
            }
        }
    }
}

impl Source {
    /// Plays `stream` on its mount of `icecast`; waits until it is on the air.
    pub(crate) fn start(lab: &Lab, icecast: &Icecast, stream: Stream) -> Self {
        Self::start_at(lab, icecast, stream, stream.mount())
    }

    /// The same, on another mount.
    pub(crate) fn start_at(lab: &Lab, icecast: &Icecast, stream: Stream, mount: &str) -> Self {
        let port = icecast.port();
        let folder = lab.folder(&format!("source-{port}{}", mount.replace('/', "-")), "nobody");
        let ffmpeg = Program::new("ffmpeg", "ffmpeg")
            .words("-hide_banner -nostdin -loglevel warning")
            .words(stream.arguments())
            .args(["-ice_name", "a test"])
            .args([format!("icecast://source:{SOURCE_PASSWORD}@127.0.0.1:{port}{mount}")])
            .start(&folder);
        icecast.wait_for(mount);
        Self { _ffmpeg: ffmpeg }
    }
}
