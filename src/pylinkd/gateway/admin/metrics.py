"""The gateway's numbers in the format of Prometheus.

Nothing is kept here: what the parts count anyway is read when somebody asks. Labels are states, reasons, statuses and
names of services and API keys, so that their number is bounded; never users, rooms or sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ...line_writer import log_lines_lost
from ..core.registry import Registry
from ..core.rooms import Rooms
from ..core.session import Session
from ..core.traffic import Histogram, Traffic
from ..guard.guard import Guard
from ..routing.lifecycle import Lifecycle
from ..routing.parking import Parking
from ..routing.services import Services


class Metrics(Collector):
    """All of the gateway's metrics.

    Args:
        traffic: What passed through.
        registry: The sessions.
        rooms: The rooms.
        services: The services and their links.
        parking: Messages that wait for a service.
        lifecycle: Sessions whose clients are away, and what is kept for clients.
        congested: The sessions whose clients read too slowly now.
        receptions: Large messages by state.
        bodies: Bytes that bodies of HTTP requests take (``taken``), and how many requests wait for room (``waiting``).
        guard: Its decisions.
    """

    def __init__(
        self,
        *,
        traffic: Traffic,
        registry: Registry,
        rooms: Rooms,
        services: Services,
        parking: Parking,
        lifecycle: Lifecycle,
        congested: Callable[[], Iterable[Session]],
        receptions: Callable[[], Mapping[str, int]],
        bodies: Callable[[], Mapping[str, int]],
        guard: Guard,
    ) -> None:
        self._traffic = traffic
        self._registry = registry
        self._rooms = rooms
        self._services = services
        self._parking = parking
        self._lifecycle = lifecycle
        self._congested = congested
        self._receptions = receptions
        self._bodies = bodies
        self._guard = guard
        self._all = CollectorRegistry()
        self._all.register(self)
        ProcessCollector(registry=self._all)
        GCCollector(registry=self._all)

    def text(self) -> bytes:
        """What a scrape gets."""
        return generate_latest(self._all)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield from self._connections()
        yield from self._messages()
        yield from self._queues()
        yield from self._links()
        yield from self._decisions()
        yield _histogram("linkd_fanout_recipients", "Sessions that took an event", self._traffic.fanout)
        yield _histogram("linkd_heartbeat_round_trip_seconds", "From a ping to its pong", self._traffic.round_trip)
        yield _histogram("linkd_loop_lag_seconds", "How late the event loop came", self._traffic.loop_lag)
        pauses = self._traffic.gc_pause
        yield _histogram("linkd_gc_pause_seconds", "What a collection of garbage took", pauses)
        yield GaugeMetricFamily("linkd_gc_pause_seconds_max", "The longest since the start", pauses.largest)

    def _connections(self) -> Iterator[Metric]:
        traffic = self._traffic
        yield _gauges("linkd_connections", "Connections by state", "state", traffic.states)
        yield _gauges(
            "linkd_sessions",
            "Sessions that reach a service",
            "service",
            {service.name: len(service.attachments) for service in self._services},
        )
        yield _gauges("linkd_http_connections", "Connections that are not WebSockets, by stage", "state", traffic.http)
        yield CounterMetricFamily(
            "linkd_descriptors_exhausted", "Seconds without a file descriptor left", traffic.descriptors_exhausted
        )
        yield GaugeMetricFamily("linkd_users", "Users with a session", self._registry.users)
        yield GaugeMetricFamily("linkd_rooms", "Rooms with a member", len(self._rooms))
        away = len(self._lifecycle.detached)
        yield GaugeMetricFamily("linkd_sessions_detached", "Sessions whose clients are away", away)
        yield _counters("linkd_resumes", "Clients that came back to a session, by outcome", "outcome", traffic.resumes)
        yield CounterMetricFamily(
            "linkd_stream_drift",
            "Clients that counted other than the gateway; never, unless one is at fault",
            traffic.drift,
        )
        yield _counters("linkd_handshakes", "Opening handshakes by outcome", "outcome", traffic.handshakes)
        yield _counters("linkd_sessions_ended", "Sessions that ended, by reason", "reason", traffic.ends)

    def _messages(self) -> Iterator[Metric]:
        traffic = self._traffic
        messages = {"in": traffic.messages_in, "out": traffic.messages_out}
        yield _counters("linkd_messages", "Messages from and to clients", "direction", messages)
        bytes_ = {"in": traffic.bytes_in, "out": traffic.bytes_out}
        yield _counters("linkd_message_bytes", "Bytes of these messages", "direction", bytes_)
        yield CounterMetricFamily("linkd_events_dropped", "Events dropped for slow clients", traffic.events_dropped)
        requests = CounterMetricFamily(
            "linkd_api_requests", "Requests to publish over HTTP, by API key and outcome", labels=["key", "outcome"]
        )
        for (key, outcome), count in traffic.api_requests.items():
            requests.add_metric([key, outcome], count)
        yield requests
        yield CounterMetricFamily("linkd_answers_cut", "HTTP answers cut since nobody read them", traffic.answers_cut)

    def _queues(self) -> Iterator[Metric]:
        waiting = [session.outbox.size + session.outbox.held for session in self._congested()]
        yield GaugeMetricFamily("linkd_clients_congested", "Clients that read too slowly now", len(waiting))
        yield GaugeMetricFamily("linkd_outbox_bytes", "Bytes that wait for these clients", sum(waiting))
        yield GaugeMetricFamily("linkd_outbox_bytes_max", "Bytes that wait for the slowest", max(waiting, default=0))
        retained = self._lifecycle.retention.held
        yield GaugeMetricFamily("linkd_retained_bytes", "Bytes kept until clients acknowledge them", retained)
        yield _gauges("linkd_large_messages", "Large messages that arrive, or wait to", "state", self._receptions())
        bodies = self._bodies()
        yield GaugeMetricFamily("linkd_body_bytes", "Bytes that bodies of HTTP requests take", bodies["taken"])
        yield GaugeMetricFamily("linkd_bodies_waiting", "HTTP requests that wait for room", bodies["waiting"])
        yield GaugeMetricFamily("linkd_parked_messages", "Messages that wait for a service", self._parking.messages)
        yield GaugeMetricFamily("linkd_parked_bytes", "Bytes of these messages", self._parking.bytes)

    def _decisions(self) -> Iterator[Metric]:
        guard = self._guard
        yield _counters("linkd_security_decisions", "Security decisions", "decision", guard.audit.decisions)
        yield CounterMetricFamily(
            "linkd_audit_suppressed", "Records of decisions that were too many to be written", guard.audit.suppressed
        )
        yield CounterMetricFamily(
            "linkd_audit_lost", "Records of decisions that could not be written to the file", guard.audit.lost
        )
        yield CounterMetricFamily("linkd_log_lines_lost", "Lines of the log that were not written", log_lines_lost())
        yield _counters("linkd_limits_exceeded", "How often a limit was exceeded", "limit", guard.limits.refused)
        yield GaugeMetricFamily("linkd_bans", "Bans in force", len(guard.addresses.bans()))
        yield GaugeMetricFamily("linkd_unfinished", "Connections that have not come in yet", len(guard.unfinished))
        fetches = CounterMetricFamily("linkd_keys_fetched", "Fetches of issuers' keys", labels=["issuer", "outcome"])
        age = GaugeMetricFamily("linkd_keys_age_seconds", "Since an issuer's keys were fetched", labels=["issuer"])
        for keys in guard.tokens.remote:
            for outcome, count in keys.fetches.items():
                fetches.add_metric([keys.issuer, outcome], count)
            if keys.age is not None:
                age.add_metric([keys.issuer], keys.age)
        yield fetches
        yield age

    def _links(self) -> Iterator[Metric]:
        failures = CounterMetricFamily(
            "linkd_service_failures", "Answers of services that are errors, by class", labels=["service", "failure"]
        )
        for service in self._services:
            for failure, count in service.failures.items():
                failures.add_metric([service.name, failure], count)
        yield failures
        stored = GaugeMetricFamily(
            "linkd_service_stored", "Dead letters, events to be sent and work that is due, in a service's database",
            labels=["service", "kind"],
        )  # fmt: skip
        for service in self._services:
            # Instances share a database, and look into it at different times.
            said = [instance.link.stored for instance in service.instances]
            for kind in sorted({kind for one in said for kind in one}):
                stored.add_metric([service.name, kind], max(one.get(kind, 0) for one in said))
        yield stored
        links = {service.name: [instance.link for instance in service.instances] for service in self._services}
        yield _gauges(
            "linkd_service_instances",
            "Instances of a service",
            "service",
            {name: len(found) for name, found in links.items()},
        )
        yield _gauges(
            "linkd_service_questions",
            "Unanswered questions to a service, out of its instances' windows",
            "service",
            {name: sum(link.questions for link in found) for name, found in links.items()},
        )
        yield _gauges(
            "linkd_service_links_congested",
            "Instances whose clients are not read from",
            "service",
            {name: sum(link.congested for link in found) for name, found in links.items()},
        )


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _histogram(name: str, text: str, values: Histogram) -> HistogramMetricFamily:
    buckets: list[tuple[str, float]] = []
    below = 0
    for bound, count in zip([*map(str, values.bounds), "+Inf"], values.counts, strict=True):
        below += count
        buckets.append((bound, below))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=values.total)
