//! Where the server is that takes writes, as Sentinels say.
//!
//! They are asked whenever we connect: whoever loses a server that has died, or that does not take writes
//! any more, finds the one in its place by asking again
//! (<https://redis.io/docs/latest/develop/reference/sentinel-clients/>).

use std::time::Duration;

use redis::RedisConnectionInfo;
use tokio::time::timeout;

use crate::fleet::{Address, Engine, Whereabouts};

use super::line::{Line, credentials, nobody};
use super::trouble::Trouble;

/// A Sentinel that takes longer to answer is passed over.
const PATIENCE: Duration = Duration::from_millis(200);

/// Where an engine is: by the first of its Sentinels that knows it, if it has any.
pub(super) async fn find(engine: &Engine) -> Result<Address, Trouble> {
    let (sentinels, name) = match &engine.at {
        Whereabouts::Server(address) => return Ok(address.clone()),
        Whereabouts::Sentinels { sentinels, name } => (sentinels, name),
    };
    let mut trouble = Trouble::Kind("no Sentinel is named");
    for sentinel in sentinels {
        let asked = timeout(PATIENCE, ask(engine, sentinel, name)).await;
        match asked.unwrap_or(Err(Trouble::Slow)) {
            Ok(address) => return Ok(address),
            Err(one) => trouble = Trouble::Sentinel(sentinel.clone(), Box::new(one)),
        }
    }
    Err(trouble)
}

/// Asks one, and says the engine's password only to one that wants it: the others would take it amiss.
async fn ask(engine: &Engine, sentinel: &Address, name: &str) -> Result<Address, Trouble> {
    match ask_as(&nobody(), engine, sentinel, name).await {
        Err(Trouble::Answer(error)) if error.code() == Some("NOAUTH") => {
            ask_as(&credentials(engine), engine, sentinel, name).await
        }
        answer => answer,
    }
}

async fn ask_as(
    who: &RedisConnectionInfo,
    engine: &Engine,
    sentinel: &Address,
    name: &str,
) -> Result<Address, Trouble> {
    let mut line = Line::to(sentinel, engine.tls, who).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("get-master-addr-by-name").arg(name);
    let answer: Option<(String, u16)> = question.query_async(&mut line.connection).await?;
    let (host, port) = answer.ok_or(Trouble::Kind("it knows no server of that name"))?;
    Ok(Address { host, port })
}
