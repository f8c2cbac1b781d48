//! An editor with one file open, as far as yaml-language-server can tell.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::target;

/// It starts within a second or two where there is nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Editor {
    server: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    uri: String,
    asked: u64,
}

impl Editor {
    /// Opens a text as `balancer.yaml` in a folder.
    pub(super) fn open(folder: &Path, text: &str) -> Self {
        let program =
            target().join("npm/node_modules/yaml-language-server/bin/yaml-language-server");
        assert!(program.is_file(), "yaml-language-server is missing: tests/install");
        let mut server = Command::new("node")
            .arg(program)
            .arg("--stdio")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node is there: tests/install");
        let input = server.stdin.take().unwrap();
        let mut replies = BufReader::new(server.stdout.take().unwrap());
        let (sender, output) = channel();
        thread::spawn(move || {
            while let Some(message) = read(&mut replies) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let path = folder.join("balancer.yaml");
        fs::write(&path, text).unwrap();
        let uri = format!("file://{}", path.display());
        let mut editor = Self { server, input, output, uri, asked: 0 };
        editor.call("initialize", &json!({"processId": null, "rootUri": null, "capabilities": {}}));
        editor.tell("initialized", &json!({}));
        // Nothing but what the file itself names.
        let settings = json!({"yaml": {
            "validate": true, "hover": true, "completion": true, "schemaStore": {"enable": false},
        }});
        editor.tell("workspace/didChangeConfiguration", &json!({"settings": settings}));
        let document = json!({"uri": editor.uri, "languageId": "yaml", "version": 1, "text": text});
        editor.tell("textDocument/didOpen", &json!({"textDocument": document}));
        editor
    }

    /// What it underlines, once it has found anything.
    pub(super) fn diagnostics(&mut self) -> Value {
        loop {
            let message = self.next();
            let found = &message["params"]["diagnostics"];
            if message["method"] == "textDocument/publishDiagnostics" && *found != json!([]) {
                return found.clone();
            }
        }
    }

    /// Asks for something at a place in the file.
    pub(super) fn ask(&mut self, method: &str, position: &Value) -> Value {
        let document = json!({"uri": self.uri});
        self.call(method, &json!({"textDocument": document, "position": position}))
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters}));
        loop {
            let message = self.next();
            if message["id"] == id && message.get("method").is_none() {
                return message["result"].clone();
            }
        }
    }

    fn tell(&mut self, method: &str, parameters: &Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": parameters}));
    }

    /// The next message; what the server itself asks is answered with nothing.
    fn next(&mut self) -> Value {
        let message = self.output.recv_timeout(PATIENCE).expect("yaml-language-server answers");
        if let (Some(id), Some(_)) = (message.get("id"), message.get("method")) {
            let answer = match message["method"].as_str() {
                Some("workspace/configuration") => json!([{}, {}, {}, {}, {}]),
                _ => Value::Null,
            };
            self.send(&json!({"jsonrpc": "2.0", "id": id, "result": answer}));
        }
        message
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
        self.input.flush().unwrap();
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

fn read(replies: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        replies.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim().split_once(": ") {
            Some(("Content-Length", number)) => length = number.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    replies.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}
