//! A launcher behind a box is a launcher.

use std::num::NonZeroUsize;

use super::{
    AdoptError, Adopted, BoxFuture, Facts, LaunchError, Launched, ProcLauncher, Sighting, Stop, StreamKinds,
    Streams, SurveyError,
};
use crate::id::ProcId;
use crate::spec::ProcSpec;

impl ProcLauncher for Box<dyn ProcLauncher> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn restarts_by_itself(&self) -> bool {
        (**self).restarts_by_itself()
    }

    fn launches_at_once(&self) -> Option<NonZeroUsize> {
        (**self).launches_at_once()
    }

    fn stream_kinds(&self, spec: &ProcSpec) -> StreamKinds {
        (**self).stream_kinds(spec)
    }

    fn launch(
        &self,
        spec: ProcSpec,
        streams: Streams,
        facts: Facts,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        (**self).launch(spec, streams, facts)
    }

    fn adopt(&self, id: ProcId, facts: Facts) -> BoxFuture<'_, Result<Adopted, AdoptError>> {
        (**self).adopt(id, facts)
    }

    fn survey(&self) -> BoxFuture<'_, Result<Vec<Sighting>, SurveyError>> {
        (**self).survey()
    }

    fn ended_kept(&self) -> BoxFuture<'_, Result<usize, SurveyError>> {
        (**self).ended_kept()
    }

    fn stop_many(&self, stops: Vec<Stop>) -> BoxFuture<'_, ()> {
        (**self).stop_many(stops)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        (**self).close()
    }
}
