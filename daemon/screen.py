"""What a run shows of itself while it goes on."""
import asyncio, json, sys
from contextlib import contextmanager
class Screen:
    url = ""
    def __init__(self, settings, clock): self.settings=settings
    def note(self, event, **facts): print(event, facts, file=sys.stderr)
    def begin(self, run): print("begin", run.number, self.url, file=sys.stderr)
    async def follow(self, run):
        while True:
            await asyncio.sleep(1)
            s=run.snapshot(); print(run.phase, {k:v for k,v in s.counters.items() if v and k[0] in("soakd_ops_total","soakd_rows_total","soakd_ops_dropped_total","soakd_op_errors_total","soakd_retries_total")}, file=sys.stderr)
    def end(self, run, books, reason):
        m=run.measured()
        for k,h in m.histograms.items(): print(k, h.count, [round(x*1e3,3) for x in h.quantiles((.5,.9,.99,.999))])
        print(books, {k[1:]:v/run.duration for k,v in m.counters.items() if k[0]=="soakd_ops_total"}, reason, m.gauges)
@contextmanager
def make_screen(settings, clock): yield Screen(settings, clock)
