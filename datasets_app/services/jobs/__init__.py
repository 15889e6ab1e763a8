"""Long work: started by a person, done by a worker of the queue, watched by everybody who may."""

from datasets_app.services.jobs.kinds import JobKind, UnknownJobKind, kind_of, register
from datasets_app.services.jobs.progress import JobIsRunning, Progress
from datasets_app.services.jobs.running import run_job
from datasets_app.services.jobs.starting import start_job
from datasets_app.services.jobs.waking import wake_stalled

__all__ = [
    "JobIsRunning",
    "JobKind",
    "Progress",
    "UnknownJobKind",
    "kind_of",
    "register",
    "run_job",
    "start_job",
    "wake_stalled",
]
