# FT: a first stage of 30 epochs trains the paraphraser, an autoencoder of the teacher's last features, at a fifth of
# the learning rate. Then, by the run's own schedule, a translator on the student's is to find the same factors. The
# benchmark's weight belongs to its own form of the loss.
method = dict(
    type='shake_mm.Distiller',
    connectors=dict(factor=dict(type='ParaphraserEncoder', source='teacher0.fm')),
    terms=dict(
        task=dict(of='student'),
        paraphrase=dict(
            of='connectors.factor',
            to='teacher0.fm',
            connector=dict(type='ParaphraserDecoder'),
            loss=dict(type='torch.nn.MSELoss'),
        ),
        ft=dict(
            of='student.fm',
            to='connectors.factor',
            connector=dict(type='Translator'),
            loss=dict(type='FTLoss', form='attention'),
            weight=200.0,
        ),
    ),
    stages=dict(
        paraphrase=dict(
            until=30,
            adds_epochs=True,
            lr_factor=0.2,
            terms=['paraphrase'],
            train=['connectors', 'terms.paraphrase'],
        ),
        main=dict(terms=['task', 'ft'], train=['student', 'terms.ft'], reset_optimizer=True),
    ),
)

connectors = method['connectors']  # its former name
terms = method['terms']  # its former name
