//! Relays that hang, in three ways: they take connections and say nothing, they say one byte a
//! second, or they take no connection, so that the kernel drops who knocks.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::balancer::Balancer;
use crate::options::Options;
use crate::station::{STREAM, Station, config};
use crate::support::lab::Lab;
use crate::support::process::eventually;
use crate::support::web;

use super::{Fault, Finding};

/// Relays of either kind.
const EACH: usize = 25;

/// A relay that came back is to be as good as the others at once, or rounds would not be alike.
const HEAD: &str = "poll: {slow_start: 0s}\n";

pub(super) struct Hung {
    balancer: Balancer,
    hang: watch::Sender<bool>,
    /// The fewest relays that were up at the end of a round.
    fewest: f64,
    _station: Station,
}

/// How a relay hangs.
#[derive(Debug, Clone, Copy)]
enum How {
    Silent,
    Dripping,
    Shut,
}

impl Hung {
    pub(super) fn prepare(lab: &Lab, options: &Options) -> Self {
        let station = Station::start(EACH, None);
        let (hang, hangs) = watch::channel(false);
        let mut urls = station.urls();
        let slots = web::get(&format!("{}/slots.xsl", urls[0])).expect("a relay that is well").body;
        for (relay, how) in (0..EACH).zip([How::Silent, How::Dripping, How::Shut].iter().cycle()) {
            // As small a queue as there is: it is full when two wait.
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("a socket's mode");
            socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
            socket.listen(1).unwrap_or_else(|error| panic!("relay {relay}: {error}"));
            let _here = station.runtime.enter();
            let listener = TcpListener::from_std(socket.into()).expect("a listener");
            urls.push(format!("http://{}", listener.local_addr().expect("its address")));
            station.runtime.spawn(serve(listener, *how, hangs.clone(), slots.clone()));
        }
        let balancer = Balancer::start(lab, options, &config(HEAD, &urls, &[STREAM]), &[]);
        Self { balancer, hang, fewest: 2.0 * EACH as f64, _station: station }
    }

    fn up(&self) -> f64 {
        self.balancer.sum("icecast_balancer_server_up", "")
    }
}

impl Fault for Hung {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn begin(&mut self) {
        self.hang.send_replace(true);
    }

    fn end(&mut self) {
        self.fewest = self.fewest.min(self.up());
        self.hang.send_replace(false);
        eventually("all relays are up again", Duration::from_secs(90), || {
            (self.up() > 2.0 * EACH as f64 - 0.5).then_some(())
        });
    }

    fn findings(&self) -> Vec<Finding> {
        let polls = |result| {
            let label = format!("result=\"{result}\"");
            self.balancer.sum("icecast_balancer_server_polls_total", &label)
        };
        let (well, late, unconnected) = (polls("ok"), polls("timeout"), polls("connect"));
        let fewest = self.fewest;
        let looks = format!("{well} good looks, {late} timed out, {unconnected} did not connect");
        vec![
            Finding { text: looks, good: late + unconnected > 0.0 },
            // That a round ends before they are down is as good.
            Finding {
                text: format!("at least {fewest} relays were up"),
                good: fewest >= EACH as f64,
            },
        ]
    }
}

/// A relay that is well, and hangs whenever it is told to.
async fn serve(listener: TcpListener, how: How, mut hangs: watch::Receiver<bool>, slots: String) {
    let address = listener.local_addr().expect("its address");
    loop {
        if matches!(how, How::Shut) && *hangs.borrow_and_update() {
            // Who comes first fills the queue, and those who come later are not heard.
            let filling: Vec<_> = (0..4).map(|_| tokio::spawn(knock(address))).collect();
            if hangs.changed().await.is_err() {
                return;
            }
            for knock in filling {
                knock.abort();
            }
            continue;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = hangs.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if let Ok((connection, _)) = accepted {
            tokio::spawn(answer(connection, how, *hangs.borrow(), slots.clone()));
        }
    }
}

async fn knock(address: SocketAddr) {
    let _held = TcpStream::connect(address).await;
    std::future::pending::<()>().await;
}

/// Answers one look. Who asks may leave at any moment.
async fn answer(mut connection: TcpStream, how: How, hangs: bool, slots: String) {
    /// Much longer than anybody waits.
    const FOR_EVER: Duration = Duration::from_secs(10);
    let mut asked = [0; 2048];
    let Ok(1..) = connection.read(&mut asked).await else { return };
    let length = slots.len();
    let answer = format!(
        "HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{slots}"
    );
    match how {
        How::Silent if hangs => drop(timeout(FOR_EVER, connection.read(&mut asked)).await),
        How::Dripping if hangs => {
            for byte in answer.as_bytes().iter().take(10) {
                if connection.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        }
        How::Silent | How::Dripping | How::Shut => {
            // A reader that left needs no answer.
            drop(connection.write_all(answer.as_bytes()).await);
            drop(connection.shutdown().await);
        }
    }
}
