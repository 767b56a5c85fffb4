"""DICOM files of ophthalmic tomography, as small as can be."""

import base64
import zlib

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

OPT = UID('1.2.840.10008.5.1.4.1.1.77.1.5.4')
VOLUME = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)


def holding(**elements):
    """A sequence of one item."""
    item = Dataset()
    for key, value in elements.items():
        setattr(item, key, value)
    return Sequence([item])


def write(path, frames=VOLUME, syntax=ExplicitVRLittleEndian, **elements):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = OPT, generate_uid(), syntax
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = OPT, meta.MediaStorageSOPInstanceUID, 'OPT'
    dataset.PatientName, dataset.PatientID, dataset.StudyDate = 'Doe^Jane', '4711', '20260102'
    dataset.Manufacturer, dataset.ManufacturerModelName = 'Acme', 'Eye 3'
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = *frames.shape[1:], len(frames)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, 'MONOCHROME2', 0
    bits = 8 * frames.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelData = frames.tobytes()
    for key, value in elements.items():
        setattr(dataset, key, value)
    if syntax != ExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path


SLOPE = np.add.outer(2 * np.arange(40), np.arange(50)).astype(np.uint8)  # and the same packed by GDCM, as zlib packs that
LOSSLESS = 'eNr7f+P/YQZuDgYNBiNGRkGG/0cYxBgYGRkZkAEjE8f/WwwcQFGg+PlXqxBgrRYSZwsSe9UlJPZqr1Etw0XL/5sAJJFXQw=='
LS = 'eNr7f+P/dwZuDgYNBiNGRkGG/7cYOBgZGYBg7ba/+//X/67/D4bLpkJoeQjFD6HmQyh7MFUH4fyGUO8h1P7hJvXg/00GADZI2pE='


def jpeg(path, packed, syntax, change=lambda frame: frame):
    """A file of two packed frames of `SLOPE`."""
    dataset = dcmread(write(path, np.stack([SLOPE, SLOPE])))
    dataset.PixelData = encapsulate([change(zlib.decompress(base64.b64decode(packed)))] * 2)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    return path
