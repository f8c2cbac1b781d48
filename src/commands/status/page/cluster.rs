//! The other balancers: who is there, how the engine is, and how many slots are on loan.

use std::fmt;

use super::super::super::table::{Align, Cell, Table, Tone, age, count, harmless, wrapped};
use super::super::view::Cluster;
use super::Page;

const MEMBERS: [(&str, Align); 4] = [
    ("BALANCER", Align::Left),
    ("CONFIGURATION", Align::Left),
    ("AGE", Align::Right),
    ("PROCESS", Align::Left),
];

impl Page<'_> {
    /// The section; nothing where a balancer is alone.
    pub(super) fn cluster(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(cluster) = &self.view.cluster else { return Ok(()) };
        let balancers =
            count(usize::try_from(cluster.replicas).unwrap_or(usize::MAX), "balancer", "balancers");
        write!(f, "\n{}", self.paint(Tone::Heading, &balancers))?;
        let Some(engine) = &cluster.engine else {
            return writeln!(f, ", each with its share");
        };
        let (word, tone) =
            if engine.up { ("answers", Tone::Good) } else { ("does not answer", Tone::Bad) };
        writeln!(f, ", {} known", cluster.members.len())?;
        writeln!(f, "engine {} {}", harmless(&engine.address), self.paint(tone, word))?;
        for line in engine.trouble.iter().flat_map(|why| wrapped(&harmless(why), 76)) {
            writeln!(f, "    {}", self.paint(Tone::Bad, &line))?;
        }
        let Cluster { lent, borrowed, lent_total, borrowed_total, .. } = cluster;
        writeln!(f, "{lent} slots lent now, {lent_total} since the start")?;
        writeln!(f, "{borrowed} slots borrowed now, {borrowed_total} since the start")?;
        f.write_str(&self.members(cluster))
    }

    fn members(&self, cluster: &Cluster) -> String {
        let ours = cluster.members.iter().find(|member| member.is_self);
        let mut table = Table::new(&MEMBERS);
        for member in &cluster.members {
            let heard = if self.is_still { "–".to_owned() } else { age(member.age_seconds) };
            let host =
                if member.is_self { format!("{} *", member.host) } else { member.host.clone() };
            let cells = vec![
                Cell::new(host),
                Cell::new(&*member.config),
                Cell::new(heard),
                Cell::new(&*member.name),
            ];
            let differs = ours.is_some_and(|ours| ours.config != member.config);
            let remark = differs.then(|| Cell::new("another configuration").tone(Tone::Warning));
            table.row(cells, remark.into_iter().collect());
        }
        if table.is_empty() { String::new() } else { table.show(self.coloured) }
    }
}
