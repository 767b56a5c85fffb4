"""DICOM files of ophthalmic tomography, as small as can be."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
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


def measures(between=None, positions=(), directions=()):
    """Functional groups as multi-frame files have them; a thickness is no distance."""
    sizes = dict(PixelSpacing=[0.004, 0.012], SliceThickness=0.1) | (dict(SpacingBetweenSlices=between) if between else {})
    frames = Sequence()
    for position, along in zip(positions, directions or [(1, 0, 0)] * len(positions), strict=True):
        plane = holding(ImageOrientationPatient=[*along, 0, 1, 0])
        frames += holding(PlanePositionSequence=holding(ImagePositionPatient=list(position)), PlaneOrientationSequence=plane)
    shared = holding(PixelMeasuresSequence=holding(**sizes))
    return dict(SharedFunctionalGroupsSequence=shared, PerFrameFunctionalGroupsSequence=frames)


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
