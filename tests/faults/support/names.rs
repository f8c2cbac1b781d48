//! The name system, on 127.0.0.53 of the row's own network, as reliable as the row wants it.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use super::process::done;

/// What is said of every name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// This address.
    Address(Ipv4Addr),
    /// That there is no such name.
    NoSuchName,
    /// That it will not say.
    Refused,
    /// Nothing.
    Nothing,
}

/// A name server that every program of the row asks.
pub(crate) struct Names {
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<usize>>,
}

impl Names {
    /// Starts it, and makes it this world's resolver.
    pub(crate) fn start(says: Says) -> Self {
        fs::write("/mnt/resolv.conf", "nameserver 127.0.0.53\n").unwrap();
        done("mount", "--bind /mnt/resolv.conf /etc/resolv.conf");
        let socket = UdpSocket::bind("127.0.0.53:53").unwrap();
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::new(Mutex::new(0)));
        let (saying, asking) = (Arc::clone(&says), Arc::clone(&asked));
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                *asking.lock().unwrap() += 1;
                let says = *saying.lock().unwrap();
                if let Some(answer) = answer(&question[..length], says) {
                    let _gone = socket.send_to(&answer, from);
                }
            }
        });
        Self { says, asked }
    }

    /// Says something else from now on.
    pub(crate) fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

/// An answer as RFC 1035 wants it: header, the question again, one address.
fn answer(question: &[u8], says: Says) -> Option<Vec<u8>> {
    let end = question.get(12..)?.iter().position(|byte| *byte == 0)? + 12 + 5;
    let question = question.get(..end)?;
    let wants_ipv4 = question[end - 4..end - 2] == [0, 1];
    let (code, address) = match says {
        Says::Address(address) => (0, wants_ipv4.then_some(address)),
        Says::NoSuchName => (3, None),
        Says::Refused => (5, None),
        Says::Nothing => return None,
    };
    let mut answer = question.to_vec();
    answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0]);
    if let Some(address) = address {
        answer[7] = 1;
        // The name of the question, type A, class IN, one second, four bytes.
        answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
