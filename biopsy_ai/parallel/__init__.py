"""Tasks on several processes or machines with Dask: one at a time on each worker."""

from __future__ import annotations

from biopsy_ai.parallel.call import Call, Ended
from biopsy_ai.parallel.plan import WorkerPlan, plan_workers
from biopsy_ai.parallel.workers import Workers

__all__ = ["Call", "Ended", "WorkerPlan", "Workers", "plan_workers"]
