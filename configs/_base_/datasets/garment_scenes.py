# Garments on textured canvases of 96x96: a detection set in COCO's format, drawn on first use from Fashion-MNIST's
# pictures, which `make data` fetches.
_base_ = './digit_scenes.py'
dataset_type = 'shake_mm.GarmentScenes'

train_dataloader = dict(dataset=dict(type=dataset_type))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = dict(dataset=dict(type=dataset_type, split='test'))
