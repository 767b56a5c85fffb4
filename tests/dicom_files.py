"""DICOM files of ophthalmic tomography, as small as can be."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

OPT = UID('1.2.840.10008.5.1.4.1.1.77.1.5.4')
VOLUME = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)


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
