"""HEYEX exports: an XML file and the pictures beside it."""

import numpy as np
from PIL import Image

FRAMES = np.random.default_rng(0).integers(1, 255, (3, 40, 50), dtype=np.uint8)


def coordinates(tag, x, y):
    return f'<{tag}><Coord><X>{x}</X><Y>{y}</Y></Coord></{tag}>'


def image(kind, name, place=0):
    return (
        f'<Image><ImageType><Type>{kind}</Type></ImageType><OphthalmicAcquisitionContext><Width>50</Width><Height>40</Height>'
        f'<ScaleX>0.0113</ScaleX><ScaleY>0.00387</ScaleY><Angle>30</Angle><Focus>1</Focus><ImageQuality>30</ImageQuality>'
        f'{coordinates("Start", 0, 0.25 * place)}{coordinates("End", 1, 0.25 * place)}</OphthalmicAcquisitionContext>'
        f'<ImageData><ExamURL>C:\\export\\{name}</ExamURL></ImageData></Image>'
    )


def write_export(folder, names=('a.tif', 'b.tif', 'c.tif'), missing=()):
    images = ''.join(image('OCT', name, place) for place, name in enumerate(names))
    text = (
        '<HEDX><BODY><SWVersion><Version>1</Version></SWVersion><Patient><ID>1</ID><PatientID>4711</PatientID>'
        '<LastName>Doe</LastName><FirstNames>Jane</FirstNames><Birthdate><Date><Year>1970</Year><Month>1</Month><Day>2</Day></Date>'
        '</Birthdate><Study><StudyDate><Date><Year>2020</Year><Month>1</Month><Day>2</Day></Date></StudyDate><Series><ID>5</ID>'
        f'<Laterality>R</Laterality>{image("LOCALIZER", "slo.tif")}{images}</Series></Study></Patient></BODY></HEDX>'
    )
    (folder / 'export.xml').write_text(text)
    for frame, name in zip(FRAMES, names, strict=False):
        if name not in missing:
            Image.fromarray(frame).save(folder / name)
    return folder / 'export.xml'
