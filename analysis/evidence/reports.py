"""What was reported of a student alone, by KD and by SHAKE on test pictures, from the records of all studies."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from analysis.evidence import pages, records
from analysis.evidence.records import Record
from analysis.evidence.rows import PLAIN
from analysis.evidence.studies import STUDIES, Study

COMPARED = ('KD', 'SHAKE')
"""What is held against the student alone, each with what it takes without an argument."""
LEAST = 3
"""Seeds that a row needs for an interval worth a table."""
NAMES = {
    'resnet8': 'ResNet-8',
    'shufflev2': 'ShuffleNetV2',
    'shufflev2-tiny': 'ShuffleNetV2',
    'faster-rcnn-r18-w8': 'Faster R-CNN',
    'retinanet-r18-w8': 'RetinaNet',
    'fcos-r18-w8': 'FCOS',
    'rtmdet-cspnext-w32': 'RTMDet',
}


class Report(NamedTuple):
    """The records of a pair on test pictures.

    Args:
        study (Study): Where they come from.
        pair (str): ``TEACHER_STUDENT``.
        rows (dict): Records by row and seed, of which one row is the student alone.
    """

    study: Study
    pair: str
    rows: Mapping[str, Mapping[int, Record]]

    @property
    def student(self) -> str:
        """The student's name as people write it."""
        student = self.pair.partition('_')[2]
        return NAMES.get(student, student)

    @property
    def teacher(self) -> float | None:
        """The teacher's own figure, where it is known."""
        return pages.teacher_of(self.rows)

    def differences(self, row: str, base: str = PLAIN) -> list[float]:
        """Of a row to another, paired by seed."""
        return pages.differences(self.rows[row], self.rows[base])


def reports(folder: Path = records.FOLDER) -> list[Report]:
    """What was reported on test pictures of the student alone, by KD and by SHAKE, with enough seeds each."""
    found = []
    for study in STUDIES.values():
        of = records.read(study.name, folder) if study.split == 'test' else []
        for pair in study.pairs:
            rows = pages.rows_of(study, pair, of)
            if all(len(rows.get(name, ())) >= LEAST for name in (PLAIN, *COMPARED)):
                found.append(Report(study, pair, rows))
    return found
