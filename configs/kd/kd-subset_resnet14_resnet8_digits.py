# The student learns the even digits alone, from a teacher of all ten, whose logits are matched by their classes' names.
_base_ = ['../_base_/pairs/resnet14_resnet8_digits.py', '../_base_/methods/kd.py']
student = dict(_base_.model, head=dict(_base_.model.head, num_classes=5))
teacher = dict(_base_.teachers[0], classes='by_name')
model = dict(_delete_=True, student=student, teachers=[teacher], **_base_.method)
data_preprocessor = dict(num_classes=5)
digits = (0, 2, 4, 6, 8)
train_dataloader = dict(dataset=dict(digits=digits))
val_dataloader = dict(dataset=dict(digits=digits))
test_dataloader = dict(dataset=dict(digits=digits))
