//! The caller's own service properties, typed by the manager itself.

use super::{Shared, error};
use crate::launcher::LaunchError;
use crate::spec::ProcSpec;
use crate::unit::property::Property;
use crate::unit::typed as typed_by;

/// The spec's properties with the types that this manager's introspection gives them, asked for once.
pub(super) async fn typed(shared: &Shared, spec: &ProcSpec) -> Result<Vec<Property>, LaunchError> {
    if spec.properties().is_empty() {
        return Ok(Vec::new());
    }
    let signatures = shared
        .signatures
        .get_or_try_init(|| shared.bus.service_signatures())
        .await
        .map_err(|refused| error::of_launch(spec.id(), refused))?;
    let mut all = Vec::new();
    for (name, value) in spec.properties() {
        all.extend(typed_by(name, value, &|property| signatures.get(property).cloned())?);
    }
    Ok(all)
}
