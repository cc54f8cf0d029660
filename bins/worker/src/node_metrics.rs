//! What the metrics tell of the node, read from it with each scrape.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pinrail_ipfs_embedded::{AnnounceStats, DialCounts, FinderStats, Node, NodeStats, RefusedConnections};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads a node's numbers.
pub struct NodeMetrics(pub Arc<Node>);

impl fmt::Debug for NodeMetrics {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("NodeMetrics").field(&self.0.stats()).finish()
    }
}

impl Collector for NodeMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        let mut to = Writer(encoder);
        to.traffic(&stats)?;
        to.counters("dials", "Dials by how they ended", "outcome", &dials(&stats))?;
        to.counters("connections_refused", "Connections that were refused", "reason", &refused(&stats.refused))?;
        to.memory(&stats)?;
        to.finding(&stats)?;
        to.announcing(&stats)
    }
}

fn dials(stats: &NodeStats) -> [(&'static str, u64); 5] {
    let DialCounts { connected, unreachable, wrong_peer, wrong_time } = stats.dials;
    [
        ("connected", connected),
        ("unreachable", unreachable),
        ("wrong_peer", wrong_peer),
        ("wrong_time", wrong_time),
        ("refused", stats.refused_dials),
    ]
}

fn refused(refused: &RefusedConnections) -> [(&'static str, u64); 7] {
    [
        ("pending", refused.pending),
        ("pending_of_block", refused.pending_of_block),
        ("incoming", refused.incoming),
        ("incoming_of_block", refused.incoming_of_block),
        ("of_peer", refused.of_peer),
        ("outgoing", refused.outgoing),
        ("banned", refused.banned),
    ]
}

/// Writes numbers as metrics.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn traffic(&mut self, stats: &NodeStats) -> fmt::Result {
        self.gauge("peers", "Connected peers", stats.connected_peers)?;
        self.counter("received_bytes", "Bytes received from peers", stats.bytes_in)?;
        self.counter("sent_bytes", "Bytes sent to peers", stats.bytes_out)?;
        self.counter("received_blocks", "Blocks received that were wanted", stats.blocks_in)?;
        self.counter("sent_blocks", "Blocks sent to peers", stats.blocks_out)?;
        self.counter("strikes", "Things that honest peers do not send", stats.strikes)?;
        self.counter("bans", "Peers that were banned", stats.bans)
    }

    fn memory(&mut self, stats: &NodeStats) -> fmt::Result {
        self.gauge("receiving_bytes", "Received bytes in memory", stats.receive_bytes_held)?;
        self.gauge("receiving_bytes_limit", "The most of them", stats.receive_bytes_limit)?;
        self.counter("peers_closed_for_memory", "Peers closed that held most of them", stats.closed_for_memory)?;
        self.counter("peers_closed_for_room", "Idle peers closed to make room", stats.closed_for_room)?;
        self.gauge("serving_bytes", "Bytes in memory that are being sent", stats.serve_bytes_held)?;
        self.gauge("serving_bytes_limit", "The most of them", stats.serve_bytes_limit)?;
        self.gauge("wants_kept", "Wants of peers that are kept until their blocks come", stats.wants_kept)
    }

    fn finding(&mut self, stats: &NodeStats) -> fmt::Result {
        let FinderStats { lookups, providers, behind } = stats.finder;
        self.counter("lookups", "Look-ups of who has a CID", lookups)?;
        self.counter("providers_found", "Providers that they found", providers)?;
        self.seconds("finder_behind_seconds", "How long the next look-up of a waiting root is late", behind)
    }

    fn announcing(&mut self, stats: &NodeStats) -> fmt::Result {
        let AnnounceStats { new_roots, regions, records, refused, behind, has_no_address } = stats.announce;
        self.counter("announced_roots", "New roots that were announced", new_roots)?;
        self.counter("announced_regions", "Regions of the keyspace that were announced again", regions)?;
        self.counter("announced_records", "Provider records that servers took", records)?;
        self.counter("announce_refused", "Servers that gave no receipt", refused)?;
        self.seconds("announce_behind_seconds", "By how much announcing is over its cycle", behind)?;
        self.gauge("announce_without_address", "1 while no address to announce is known", usize::from(has_no_address))
    }

    fn seconds(&mut self, name: &str, help: &str, time: Duration) -> fmt::Result {
        self.gauge(name, help, usize::try_from(time.as_secs()).unwrap_or(usize::MAX))
    }

    fn gauge(&mut self, name: &str, help: &str, value: usize) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// One counter for each value of a label.
    fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            ConstCounter::new(*count).encode(metric.encode_family(&[(label, *value)])?)?;
        }
        Ok(())
    }
}
