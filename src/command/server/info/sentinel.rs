//! `INFO sentinel`: what a monitor watches, and how it is.

use super::Fields;
use crate::command::Data;

pub(super) fn sentinel(fields: &mut Fields, data: &Data<'_>) {
    let summary = data.server.sentinel().with(|monitor, _| monitor.summary());
    fields.put("sentinel_masters", summary.masters.len());
    fields.put("sentinel_tilt", u8::from(summary.tilt_ms.is_some()));
    let seconds = summary.tilt_ms.map(|ms| (ms / 1000).to_string());
    let seconds = seconds.as_deref().unwrap_or("-1");
    fields.put("sentinel_tilt_since_seconds", seconds);
    fields.put("sentinel_total_tilt", summary.tilts);
    fields.put("sentinel_running_scripts", summary.scripts_running);
    fields.put("sentinel_scripts_queue_length", summary.scripts_queued);
    fields.put("sentinel_simulate_failure_flags", summary.simulated);
    for (number, line) in summary.masters.iter().enumerate() {
        let figures = format_args!(
            "name={},status={},address={}:{},slaves={},sentinels={}",
            line.name,
            line.status.word(),
            line.address.host,
            line.address.port,
            line.replicas,
            line.monitors
        );
        fields.put(&format!("master{number}"), figures);
    }
}
