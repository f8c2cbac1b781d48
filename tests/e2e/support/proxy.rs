//! Real proxies before the balancer, set up as the documentation says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::certificate;
use super::lab::{Lab, free_port};
use super::process::{Process, Program, eventually};

/// Whoever runs the proxies, and its group.
const USER: (&str, &str) = ("nobody", "nogroup");

/// A proxy that is reached by http and by https. Dropping it ends it.
pub(crate) struct Proxy {
    http: u16,
    https: u16,
    process: Process,
}

impl Proxy {
    /// nginx with a `server` of the documentation, before the balancer at `port`.
    pub(crate) fn nginx(lab: &Lab, server: &str, port: u16) -> Self {
        let folder = lab.folder("nginx", USER.0);
        certificate::make(&folder, USER.0);
        let (http, https) = (free_port(), free_port());
        let server = placed(server, port)
            .replace("listen 80;", &format!("listen 127.0.0.1:{http};"))
            .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{https} ssl;"))
            .replace("/etc/ssl/radio.crt", "radio.crt")
            .replace("/etc/ssl/radio.key", "radio.key");
        Self { http, https, process: nginx(&folder, &server) }.awaited()
    }

    /// nginx with this page for everybody.
    pub(crate) fn page(lab: &Lab, html: &str) -> Self {
        let folder = lab.folder("site", USER.0);
        certificate::make(&folder, USER.0);
        fs::write(folder.join("page.html"), html).unwrap();
        let (http, https) = (free_port(), free_port());
        let server = format!(
            "server {{ listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl; \
             ssl_certificate radio.crt; ssl_certificate_key radio.key; \
             location / {{ root {}; default_type text/html; }} }}\n",
            folder.display()
        );
        Self { http, https, process: nginx(&folder, &server) }.awaited()
    }

    /// HAProxy with a `frontend` and a `backend` of the documentation, before the balancer at
    /// `port`.
    pub(crate) fn haproxy(lab: &Lab, sections: &str, port: u16) -> Self {
        let folder = lab.folder("haproxy", USER.0);
        certificate::make(&folder, USER.0);
        let (http, https) = (free_port(), free_port());
        let pem = folder.join("radio.pem");
        let sections = placed(sections, port)
            .replace("bind :80\n", &format!("bind 127.0.0.1:{http}\n"))
            .replace("bind :443 ", &format!("bind 127.0.0.1:{https} "))
            .replace("/etc/haproxy/radio.pem", pem.to_str().unwrap());
        Self { http, https, process: haproxy(&folder, &sections) }.awaited()
    }

    /// HAProxy with sections of the documentation in which it knows its servers itself, by http alone.
    pub(crate) fn haproxy_alone(lab: &Lab, sections: &str) -> Self {
        let folder = lab.folder("haproxy", USER.0);
        let port = free_port();
        assert!(sections.contains("bind :80\n"), "{sections}");
        let sections = sections.replace("bind :80\n", &format!("bind 127.0.0.1:{port}\n"));
        Self { http: port, https: port, process: haproxy(&folder, &sections) }.awaited()
    }

    /// The URL of a path, by http or by https.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        let port = if scheme == "https" { self.https } else { self.http };
        format!("{scheme}://127.0.0.1:{port}{path}")
    }

    fn awaited(mut self) -> Self {
        eventually("the proxy listens", Duration::from_secs(10), || {
            if let Some(status) = self.process.ended() {
                panic!("the proxy ended: {status}");
            }
            let listens = |port| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            (listens(self.http) && listens(self.https)).then_some(())
        });
        self
    }
}

/// HAProxy in a folder, with these sections.
fn haproxy(folder: &Path, sections: &str) -> Process {
    let config = format!(
        "global\n    maxconn 200\ndefaults\n    timeout connect 5s\n    timeout client 30s\n    \
         timeout server 30s\n\n{sections}"
    );
    fs::write(folder.join("haproxy.cfg"), config).unwrap();
    Program::new_as(USER, "haproxy", "haproxy").args(["-db", "-f", "haproxy.cfg"]).start(folder)
}

/// nginx in a folder, with these `server`s.
fn nginx(folder: &Path, servers: &str) -> Process {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = kinds.map(|kind| format!("{kind}_temp_path {kind};"));
    let config = format!(
        "daemon off; pid nginx.pid; error_log stderr; events {{}}\n\
         http {{ access_log off; {}\n{servers}}}\n",
        temporary.concat()
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
    Program::new_as(USER, "nginx", "nginx")
        .args(["-e".as_ref(), "stderr".as_ref(), "-p".as_ref(), folder.as_os_str()])
        .args(["-c", "nginx.conf"])
        .start(folder)
}

/// What the documentation says, for the balancer at `port`.
fn placed(documented: &str, port: u16) -> String {
    assert!(documented.contains("127.0.0.1:8000"), "the balancer's address:\n{documented}");
    documented.replace("127.0.0.1:8000", &format!("127.0.0.1:{port}"))
}

/// The pieces of the page on operation that are in this language.
pub(crate) fn documented(language: &str) -> Vec<String> {
    documented_in("docs/operation.md", language)
}

/// The pieces of a page of the documentation that are in this language.
pub(crate) fn documented_in(page: &str, language: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let page = fs::read_to_string(page).unwrap();
    let fence = format!("```{language}\n");
    // What stands before the first fence is text.
    let pieces = page.split(&fence).skip(1);
    pieces.map(|piece| piece.split("```").next().unwrap().to_owned()).collect()
}
