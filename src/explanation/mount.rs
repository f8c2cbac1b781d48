//! One mount: its verdict, and the numbers behind it.

use serde::{Deserialize, Serialize};

use crate::fleet::{By, Family};
use crate::player::Client;
use crate::select::{Judged, Verdict};
use crate::slots::{Account, Health, Moment, ServerSlots};
use crate::state::Snapshot;

use super::CERTAIN;

/// A mount, what becomes of the player there, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each of which can be so or not")]
pub struct MountVerdict {
    /// The name of its server.
    pub server: String,
    /// Its path there.
    pub mount: String,
    /// Where the player would be sent.
    pub location: String,
    /// `chosen`, `possible` (chance decides), `next` (it could take the player, and others come
    /// first) or `passed` (it is passed over).
    pub verdict: String,
    /// How likely it gets the player, 0 to 1; `null`: too many are equal for that to be worked out.
    pub chance: Option<f64>,
    /// Its place among those that could take the player, from 1.
    pub place: Option<usize>,
    /// Why it is passed over, or others come first.
    pub reason: Option<Why>,
    /// Slots that it could still give away to this player; `null`: unlimited.
    pub free: Option<u64>,
    /// The share of its slots in use that the policy goes by, 0 to 1; `null`: no limit is known, or it
    /// is passed over.
    pub share: Option<f64>,
    /// Its limits: its own, its server's, and its server's bandwidth.
    pub limits: Vec<Limit>,
    /// Its configured tier.
    pub tier: u32,
    /// Its configured weight.
    pub weight: u32,
    /// What is left of its weight after doubt and slow start; `null`: it is passed over.
    pub effective_weight: Option<f64>,
    /// `active`, `idle`, `absent` or `unknown`.
    pub presence: String,
    /// Whether its source is connected and sends nothing.
    pub stands_still: bool,
    /// `active`, `draining` or `disabled`, as configured.
    pub state: String,
    /// `up`, `doubtful`, `down`, `probation`, `recovering` or `unknown`.
    pub health: String,
    /// Seconds until its probation ends, if looks go well.
    pub probation_seconds: Option<f64>,
    /// The share of its slots that it may use while it recovers, 0 to 1.
    pub allowance: f64,
    /// `sure`, `doubtful` or `guess`: how far its numbers are trusted; `null`: it is passed over.
    pub trust: Option<String>,
    /// Seconds since its server's last good look; `null`: there was none.
    pub age_seconds: Option<f64>,
    /// Whether that is too long ago for its numbers to be believed.
    pub stale: bool,
    /// Whether listeners are sent to its server and hardly any arrive, which halves its weight.
    pub arrivals_missing: bool,
    /// What its server thinks of such players: `preferred`, `neutral` or `other`; `null`: it is passed
    /// over.
    pub preference: Option<String>,
    /// By what it is meant for such players: `network` or `country`.
    pub preferred_by: Option<String>,
    /// Whether its server prefers such players, but has had its fair share of them.
    pub had_its_share: bool,
    /// Whether its server is for its `clients` and for nobody else.
    pub only: bool,
    /// The address family that alone reaches its server: `IPv4` or `IPv6`.
    pub ip: Option<String>,
    /// Whether players that come by https stay with it there.
    pub https: bool,
    /// Why the last look at its server failed, or what is odd about it.
    pub trouble: Option<String>,
}

/// A reason, for programs and for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Why {
    /// Its name, which does not change.
    pub code: String,
    /// The same in words.
    pub text: String,
}

/// One limit that a mount is under.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limit {
    /// `mount`, `server` or `bandwidth`.
    pub of: String,
    /// `listeners`, `clients` or `bit/s`: what it counts.
    pub unit: String,
    /// The limit in force; `null`: unlimited.
    pub limit: Option<u64>,
    /// Where that is from: `configuration` or `relay`.
    pub from: Option<String>,
    /// The limit of the configuration.
    pub configured: Option<u64>,
    /// The limit that the relay told.
    pub reported: Option<u64>,
    /// What of the limit is kept free.
    pub headroom: u64,
    /// What is in use by the last good look; `null`: nobody tells.
    pub used: Option<u64>,
    /// Promised to players that no look can have seen yet.
    pub reserved: u64,
    /// What can be given away; `null`: unlimited.
    pub free: Option<u64>,
    /// Whether the relay refuses everybody, until a look is let in.
    pub refuses: bool,
}

/// Where the player would be sent.
pub(super) fn location(judged: &Judged<'_>, client: Client) -> String {
    let location = judged.mount.config.location(client.https);
    location.to_str().unwrap_or_default().to_owned()
}

impl MountVerdict {
    pub(super) fn of(
        snapshot: &Snapshot,
        judged: &Judged<'_>,
        client: Client,
        now: Moment,
    ) -> Self {
        let Judged { mount, verdict, place, chance, behind } = judged;
        let (server, known) = (mount.server, mount.server_slots);
        let standing = verdict.candidate();
        let reason = match verdict {
            Verdict::Passed(reason) => Some(Why::of(reason.label(), reason)),
            Verdict::Candidate(_) => behind.map(|behind| Why::of(behind.label(), &behind)),
        };
        let poll = &snapshot.fleet.poll;
        let clients = server.clients.as_ref();
        let meant = client.address.and_then(|at| clients?.by(at, client.country));
        let mut limits = vec![
            Limit::of("mount", "listeners", &mount.slots.seats),
            Limit::of("server", "clients", &known.seats),
        ];
        if server.max_bandwidth.is_some() {
            limits.push(Limit::of("bandwidth", "bit/s", &known.bandwidth));
        }
        Self {
            server: server.name.clone(),
            mount: mount.config.path.clone(),
            location: location(judged, client),
            verdict: word(verdict, *chance, reason.is_some()).to_owned(),
            chance: *chance,
            place: *place,
            reason,
            free: verdict.free(mount),
            share: standing.and_then(|standing| standing.share),
            limits,
            tier: mount.config.tier,
            weight: mount.config.weight,
            effective_weight: standing.map(|standing| standing.weight),
            presence: mount.slots.presence().label().to_owned(),
            stands_still: mount.slots.stands_still(),
            state: server.state.label().to_owned(),
            health: known.health().label().to_owned(),
            probation_seconds: probation(known, now),
            allowance: known.health().allowance(now, poll.slow_start),
            trust: standing.map(|standing| standing.rank.trust.label().to_owned()),
            age_seconds: known.last_good().map(|at| now.saturating_sub(at).as_secs_f64()),
            stale: known.is_stale(now, poll.stale_after),
            arrivals_missing: known.misses_arrivals(),
            preference: standing.map(|standing| standing.rank.preference.label().to_owned()),
            preferred_by: meant.map(|by| match by {
                By::Network => "network".to_owned(),
                By::Country => "country".to_owned(),
            }),
            had_its_share: standing.is_some_and(|standing| standing.had_its_share),
            only: clients.is_some_and(|clients| clients.only),
            ip: server.ip.as_ref().map(Family::to_string),
            https: server.speaks_tls(),
            trouble: known.notes().trouble,
        }
    }
}

fn word(verdict: &Verdict, chance: Option<f64>, others_come_first: bool) -> &'static str {
    match (verdict, chance) {
        (Verdict::Passed(_), _) => "passed",
        (_, Some(chance)) if chance >= CERTAIN => "chosen",
        _ if others_come_first => "next",
        _ => "possible",
    }
}

fn probation(server: &ServerSlots, now: Moment) -> Option<f64> {
    let is_on = matches!(server.health(), Health::Probation { .. });
    is_on.then(|| server.probation_left(now).as_secs_f64())
}

impl Why {
    fn of(code: &str, text: &impl ToString) -> Self {
        Self { code: code.to_owned(), text: text.to_string() }
    }
}

impl Limit {
    fn of(of: &str, unit: &str, account: &Account) -> Self {
        let sheet = account.sheet();
        let by_relay = match (sheet.configured, sheet.reported) {
            (None, None) => None,
            (Some(configured), Some(reported)) => Some(reported < configured),
            (configured, _) => Some(configured.is_none()),
        };
        Self {
            of: of.to_owned(),
            unit: unit.to_owned(),
            limit: sheet.configured.into_iter().chain(sheet.reported).min(),
            from: by_relay
                .map(|by_relay| if by_relay { "relay" } else { "configuration" }.to_owned()),
            configured: sheet.configured,
            reported: sheet.reported,
            headroom: sheet.headroom,
            used: sheet.told,
            reserved: sheet.reserved,
            free: sheet.free,
            refuses: sheet.shut,
        }
    }
}
