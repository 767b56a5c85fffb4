"""HEYEX exports: an XML file and the pictures beside it."""

import numpy as np
from PIL import Image

FRAMES = np.random.default_rng(0).integers(1, 255, (3, 40, 50), dtype=np.uint8)


def image(kind, name, ends=((0, 0.0), (1, 0.0))):
    places = zip(('Start', 'End'), ends, strict=True)
    ends = ''.join(f'<{end}><Coord><X>{x}</X><Y>{y}</Y></Coord></{end}>' for end, (x, y) in places)
    return (
        f'<Image><ImageType><Type>{kind}</Type></ImageType><OphthalmicAcquisitionContext><ScaleX>0.0113</ScaleX>'
        f'<ScaleY>0.00387</ScaleY>{ends}</OphthalmicAcquisitionContext>'
        f'<ImageData><ExamURL>C:\\export\\{name}</ExamURL></ImageData></Image>'
    )


def write_export(folder, names=('a.tif', 'b.tif', 'c.tif'), missing=(), ends=None):
    """``ends`` are those of each B-scan, (x, y) in mm; 0.25 mm apart if they are not given."""
    ends = ends or [((0, 0.25 * place), (1, 0.25 * place)) for place in range(len(names))]
    images = ''.join(image('OCT', *one) for one in zip(names, ends, strict=True))
    text = (
        '<HEDX><BODY><Patient><PatientID>4711</PatientID><LastName>Doe</LastName><FirstNames>Jane</FirstNames><Study><Series>'
        f'<Laterality>R</Laterality>{image("LOCALIZER", "slo.tif")}{images}</Series></Study></Patient></BODY></HEDX>'
    )
    (folder / 'export.xml').write_text(text)
    for frame, name in zip(FRAMES, names, strict=False):
        if name not in missing:
            Image.fromarray(frame).save(folder / name)
    return folder / 'export.xml'
