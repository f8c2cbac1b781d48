//! Soak.
use crate::options::Options;
use crate::stage::Stage;
pub(crate) fn run(_stage: Stage, _options: &Options) {}
