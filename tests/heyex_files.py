"""HEYEX exports: an XML file and the pictures beside it."""

import numpy as np
from PIL import Image

FRAMES = np.random.default_rng(0).integers(1, 255, (3, 40, 50), dtype=np.uint8)


def image(kind, name, place=0):
    ends = ''.join(f'<{end}><Coord><X>{x}</X><Y>{0.25 * place}</Y></Coord></{end}>' for x, end in enumerate(('Start', 'End')))
    return (
        f'<Image><ImageType><Type>{kind}</Type></ImageType><OphthalmicAcquisitionContext><ScaleX>0.0113</ScaleX>'
        f'<ScaleY>0.00387</ScaleY>{ends}</OphthalmicAcquisitionContext>'
        f'<ImageData><ExamURL>C:\\export\\{name}</ExamURL></ImageData></Image>'
    )


def write_export(folder, names=('a.tif', 'b.tif', 'c.tif'), missing=()):
    images = ''.join(image('OCT', name, place) for place, name in enumerate(names))
    text = (
        '<HEDX><BODY><Patient><PatientID>4711</PatientID><LastName>Doe</LastName><FirstNames>Jane</FirstNames><Study><Series>'
        f'<Laterality>R</Laterality>{image("LOCALIZER", "slo.tif")}{images}</Series></Study></Patient></BODY></HEDX>'
    )
    (folder / 'export.xml').write_text(text)
    for frame, name in zip(FRAMES, names, strict=False):
        if name not in missing:
            Image.fromarray(frame).save(folder / name)
    return folder / 'export.xml'
