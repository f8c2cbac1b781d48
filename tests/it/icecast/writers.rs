//! The documents of an Icecast that has given mounts.

use icecast_balancer::icecast::Activity::Active;
use icecast_balancer::icecast::Limit::{Listeners, Unknown, Unlimited};
use icecast_balancer::icecast::{Limit, MountReport};

pub(super) fn slots_xml(mounts: &[MountReport]) -> String {
    let element = |mount: &MountReport| {
        format!(
            "<mount name=\"{}\" listeners=\"{}\" max_listeners=\"{}\" active=\"{}\"/>\n",
            escaped(&mount.name),
            mount.listeners.unwrap_or_default(),
            most(mount.limit),
            u8::from(mount.activity == Active),
        )
    };
    format!("<slots version=\"1\">\n{}</slots>", mounts.iter().map(element).collect::<String>())
}

pub(super) fn load_xml(mounts: &[MountReport]) -> String {
    let element = |mount: &MountReport| {
        let free = match mount.limit {
            Listeners(most) => {
                format!("{}", i128::from(most) - i128::from(mount.listeners.unwrap_or(0)))
            }
            _ => "NaN".to_owned(),
        };
        format!("<mount name=\"{}\">{free}</mount>\n", escaped(&mount.name))
    };
    format!("<load>\n{}</load>", mounts.iter().map(element).collect::<String>())
}

pub(super) fn admin_xml(mounts: &[MountReport]) -> String {
    let element = |mount: &MountReport| {
        format!(
            "<source mount=\"{}\"><listeners>{}</listeners><max_listeners>{}</max_listeners>{}\
             </source>",
            escaped(&mount.name),
            mount.listeners.unwrap_or_default(),
            most(mount.limit),
            if mount.activity == Active { "<stream_start>then</stream_start>" } else { "" },
        )
    };
    format!("<icestats>{}</icestats>", mounts.iter().map(element).collect::<String>())
}

pub(super) fn status_json_text(mounts: &[MountReport]) -> String {
    let source = |mount: &MountReport| {
        serde_json::json!({
            "listeners": mount.listeners,
            "listenurl": format!("http://relay.example.org:8000{}", mount.name),
            "stream_start": (mount.activity == Active).then_some("then"),
            "title": "\",\"listeners\":0,\"listenurl\":\"http://h/forged\",\"x\":\"",
        })
    };
    let sources: Vec<_> = mounts.iter().map(source).collect();
    serde_json::json!({ "icestats": { "source": sources } }).to_string()
}

/// The same with a title in it that makes it invalid JSON.
pub(super) fn odd_status_json_text(mounts: &[MountReport]) -> String {
    status_json_text(mounts).replacen("\"source\":[", "\"source\":[{\"title\":-},", 1)
}

fn most(limit: Limit) -> String {
    match limit {
        Listeners(most) => most.to_string(),
        Unlimited => "unlimited".to_owned(),
        Unknown => "unknown".to_owned(),
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\n', "&#10;").replace('\t', "&#9;")
}
