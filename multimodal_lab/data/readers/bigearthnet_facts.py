"""What is published of BigEarthNet: the bands of its two sensors, the ground that a pixel covers, and its classes."""

from __future__ import annotations

from multimodal_lab.types import Band

NM = {"B01": 443, "B02": 492, "B03": 560, "B04": 665, "B05": 704, "B06": 741, "B07": 783, "B08": 833, "B8A": 865,
      "B09": 945, "B11": 1614, "B12": 2202}  # fmt: skip
S2 = tuple(Band(name, float(nm), "reflectance x 10000") for name, nm in NM.items())  # of level 2A, which has no B10
S1 = (Band("VV", None, "dB"), Band("VH", None, "dB"))
SENSORS = {"s2": S2, "s1": S1}
COARSE = {"B01": 6, "B05": 2, "B06": 2, "B07": 2, "B8A": 2, "B09": 6, "B11": 2, "B12": 2}  # metres of a pixel, in 10
PATCH = 1200  # m a side

# In sorted order, so that the place of a class is the published one whatever classes a file holds.
NINETEEN = (
    "Agro-forestry areas",
    "Arable land",
    "Beaches, dunes, sands",
    "Broad-leaved forest",
    "Coastal wetlands",
    "Complex cultivation patterns",
    "Coniferous forest",
    "Industrial or commercial units",
    "Inland waters",
    "Inland wetlands",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    "Marine waters",
    "Mixed forest",
    "Moors, heathland and sclerophyllous vegetation",
    "Natural grassland and sparsely vegetated areas",
    "Pastures",
    "Permanent crops",
    "Transitional woodland, shrub",
    "Urban fabric",
)
# Of the 43 classes of the first version (CORINE's), those that have another name here.
RENAMED = {
    "Annual crops associated with permanent crops": "Permanent crops",
    "Coastal lagoons": "Marine waters",
    "Continuous urban fabric": "Urban fabric",
    "Discontinuous urban fabric": "Urban fabric",
    "Estuaries": "Marine waters",
    "Fruit trees and berry plantations": "Permanent crops",
    "Inland marshes": "Inland wetlands",
    "Moors and heathland": "Moors, heathland and sclerophyllous vegetation",
    "Natural grassland": "Natural grassland and sparsely vegetated areas",
    "Non-irrigated arable land": "Arable land",
    "Olive groves": "Permanent crops",
    "Peatbogs": "Inland wetlands",
    "Permanently irrigated land": "Arable land",
    "Rice fields": "Arable land",
    "Salines": "Coastal wetlands",
    "Salt marshes": "Coastal wetlands",
    "Sclerophyllous vegetation": "Moors, heathland and sclerophyllous vegetation",
    "Sea and ocean": "Marine waters",
    "Sparsely vegetated areas": "Natural grassland and sparsely vegetated areas",
    "Transitional woodland/shrub": "Transitional woodland, shrub",
    "Vineyards": "Permanent crops",
    "Water bodies": "Inland waters",
    "Water courses": "Inland waters",
}
# And those that were left out.
DROPPED = {
    "Airports", "Bare rock", "Burnt areas", "Construction sites", "Dump sites", "Green urban areas", "Intertidal flats",
    "Mineral extraction sites", "Port areas", "Road and rail networks and associated land", "Sport and leisure facilities",
}  # fmt: skip
