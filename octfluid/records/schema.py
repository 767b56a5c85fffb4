"""What a run record must look like, so that no table made from it is wrong; ``docs/run_record.md`` explains the fields."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)

from octfluid.metrics.confusion import pooled_metrics
from octfluid.utils.errors import InputError

SCHEMA_FAMILY = 'octfluid.run/'
SCHEMA = f'{SCHEMA_FAMILY}1'
METRIC_TOLERANCE = 1e-6


def _is_relative(path: str) -> str:
    if path.startswith(('/', '~')) or '\\' in path or '..' in path.split('/'):
        raise ValueError(f' is {path}; expected a path relative to the repository root, such as configs/table2/10_x.py')
    return path


Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Size = Annotated[int, Field(ge=1, lt=1 << 31)]
Amount = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(pattern=r'^[^\p{Cc}]+$')]
"""One line: other characters would tear a page or mislead a terminal."""
Name = Annotated[str, StringConstraints(pattern=r'^[A-Za-z0-9][A-Za-z0-9._+-]*$')]
"""Part of a file name."""
Sha256 = Annotated[str, StringConstraints(pattern=r'^[0-9a-f]{64}$')]
Bins = Annotated[list[Count], Field(min_length=32, max_length=32)]
Precision = Literal['fp32', 'tf32', 'bf16', 'fp16']


class FileModel(BaseModel):
    """Base of what is read from files: types as JSON has them, finite numbers; unknown keys are kept."""

    model_config = ConfigDict(strict=True, extra='allow', allow_inf_nan=False)
    __pydantic_extra__: dict[str, JsonValue]


Model = TypeVar('Model', bound=BaseModel)


def validated(model: type[Model], content: Any, where: str) -> Model:
    """Check parsed JSON against a model; an InputError names ``where``, the first wrong field, what was found and expected."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    if first['type'] == 'value_error':  # from our own checks, with the found value and perhaps the field
        text = str(first['ctx']['error'])
    else:
        found = ' '.join(repr(first['input']).split())[:60]
        reason = first['msg'].replace('Input should be', 'expected')
        text = ' is missing' if first['type'] == 'missing' else f' is {found}; {reason}'
    path = ''.join(f'[{part}]' if isinstance(part, int) else f'.{part}' for part in first['loc'][:8])
    text = f'{path}{text}'
    raise InputError(f'{where}: {"" if text[0] == " " else "field "}{text.strip(" .")}')


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


class Git(FileModel):
    """The state of the repository."""

    commit: Annotated[str, StringConstraints(pattern=r'^[0-9a-f]{7,64}$')]
    dirty: bool


class Init(FileModel):
    """Initial weights; their name is no local path."""

    source: Literal['hrf-own', 'hrf-zoo', 'other']
    name: Annotated[str, StringConstraints(pattern=r'^(https?://[^\p{Cc}]+|[^\p{Cc}/\\]+)$')]
    sha256: Sha256
    loaded: Count
    total: Count

    @model_validator(mode='after')
    def _check(self) -> Self:
        _need(self.loaded <= self.total, f'.loaded is {self.loaded}; expected at most total = {self.total}')
        return self


class Point(FileModel):
    """A point of the training curve; its mIoU is that of a validation after this iteration."""

    iteration: Count
    loss: float | None
    lr: float | None
    mIoU: Fraction | None = None


class Counts(FileModel):
    """Pixels of one class of one image, or of any class but background."""

    tp: Count
    fp: Count
    fn: Count
    tn: Count


class Extra(FileModel, extra='forbid'):
    """Measures that need the masks or logits of an image, see `octfluid.metrics`. Older records lack them."""

    surface_dice_1px: Fraction | None = None
    surface_dice_2px: Fraction | None = None
    hd95_px: Amount | None = None
    pockets: Annotated[dict[Literal['true', 'found', 'predicted', 'right'], Count], Field(min_length=4)] = None
    ignored: Size = 0
    logit_histogram: Annotated[dict[Literal['fluid', 'background'], Bins], Field(min_length=2)] = None


class Image(Counts):
    """One scored image."""

    name: Text
    subject: Count | Text | None
    height: Size
    width: Size
    extra: Extra
    classes: dict[Text, Counts] = {}

    @model_validator(mode='after')
    def _check(self) -> Self:
        found, pixels = self.tp + self.fp + self.fn + self.tn + self.extra.ignored, self.height * self.width
        terms = 'tp+fp+fn+tn' + ('+ignored' if self.extra.ignored else '')
        _need(found == pixels, f' ({self.name}) {terms} is {found}; expected height x width = {pixels}')
        return self


class RunRecord(FileModel):
    """One training or test."""

    schema_: Literal[SCHEMA] = Field(alias='schema')
    kind: Literal['train', 'test']
    config: Annotated[Text, AfterValidator(_is_relative)]
    config_sha256: Sha256
    overrides: dict[str, JsonValue]
    git: Git | None
    source_sha256: Sha256
    seed: Count
    deterministic: bool
    variant: Literal[''] | Name
    split: Name
    split_sha256: Sha256
    init: Init | None
    checkpoint_sha256: Sha256
    iterations: Count
    device: Text
    precision: Precision
    versions: dict[str, Text]
    wall_seconds: Amount
    images_per_second: Amount | None
    peak_memory_bytes: Count | None
    metrics: dict[str, Fraction | None]
    history: list[Point]
    images: list[Image]

    @model_validator(mode='after')
    def _check(self) -> Self:
        unscored = (self.kind, self.split) == ('train', 'all')
        _need(bool(self.images) or unscored, '.images is []; expected at least one image (none only in training on split all)')
        names = set()
        for place, image in enumerate(self.images):
            _need(image.name not in names, f'.images[{place}].name is {image.name!r}; expected a name that no other image has')
            names.add(image.name)
        return self


FIELDS = tuple(field.alias or name for name, field in RunRecord.model_fields.items())
"""Keys of a record, in the order of its file."""


def metric_classes(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes of a record, background first, such as ``('background', 'fluid')``."""
    names = [key.removeprefix('IoU.') for key in record['metrics'] if key.startswith('IoU.')]
    return 'background', *(name for name in names if name != 'background')


def validate_record(record: Any, where: str) -> None:
    """Check that a run record is complete, well typed, finite and consistent.

    Raises:
        InputError: Naming ``where`` (the file), the field, what was found and what was expected; also when a metric does not
            follow from the images' counts (tolerance `METRIC_TOLERANCE`).
    """
    validated(RunRecord, record, where)
    metrics, images, classes = record['metrics'], record['images'], metric_classes(record)
    counted = {frozenset(image.get('classes', {})) for image in images}
    if len(classes) < 2 or (images and counted != {frozenset(classes if len(classes) > 2 else ())}):
        raise InputError(f'{where}: field metrics is of {", ".join(classes)}; expected the classes that all images count')
    expected = pooled_metrics(images, classes)
    if set(metrics) != set(expected):
        raise InputError(f'{where}: field metrics has {", ".join(sorted(metrics))}; expected {", ".join(expected)}')
    for key, value in expected.items():
        found = metrics[key]
        if (value is None) != (found is None) or (value is not None and abs(found - value) > METRIC_TOLERANCE):
            follows = 'null' if value is None else f'{value:.6f}'
            raise InputError(f'{where}: field metrics.{key} is {found}; expected {follows}, which follows from its images')
