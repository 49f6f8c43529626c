"""M/M/10 for Cimba: a source, a queue and ten servers. Imported only where Cimba is installed."""

import cimba as cb
from cimba import inputs


class MM10(cb.Model):
    """Ten servers at a load of nine."""

    interarrival: cb.Input[float] = inputs.dist.exponential(mean=1 / 9.0)
    service_time: cb.Input[float] = inputs.dist.exponential(mean=1.0)
    queue: cb.Container
    mean_queue: cb.Output[float]

    @cb.process
    def arrivals(self) -> None:
        """Customers come."""
        while True:
            cb.hold(self.interarrival.next())
            self.queue.put(1)

    @cb.process(copies=10)
    def server(self) -> None:
        """One of the ten."""
        while True:
            self.queue.get(1)
            cb.hold(self.service_time.next())

    @cb.on_end
    def measure(self) -> None:
        """What Cimba hands back."""
        self.mean_queue = self.queue.mean_level()
