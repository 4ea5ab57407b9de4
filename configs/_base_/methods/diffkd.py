# DiffKD: a small diffusion model learns of the teacher's features, compressed by an autoencoder, and cleans the
# student's, which are to be the teacher's then; likewise the logits.
method = dict(
    type='shake_mm.Distiller',
    connectors=dict(
        latent=dict(type='LinearAutoencoder', source='teacher0.fm'),
        cleaned=dict(type='FeatureDiffusion', source=['student.fm', 'connectors.latent[0]']),
        cleaned_logits=dict(type='FeatureDiffusion', source=['student.logits', 'teacher0.logits']),
    ),
    terms=dict(
        task=dict(of='student'),
        autoencoder=dict(of='connectors.latent[1]', to='teacher0.fm', loss=dict(type='FitNetsLoss')),
        diffusion=dict(of='connectors.cleaned[1]', to='connectors.cleaned[2]', loss=dict(type='FitNetsLoss')),
        diffkd=dict(of='connectors.cleaned[0]', to='connectors.latent[0]', loss=dict(type='FitNetsLoss')),
        logits_diffusion=dict(
            of='connectors.cleaned_logits[1]',
            to='connectors.cleaned_logits[2]',
            loss=dict(type='FitNetsLoss'),
        ),
        logits_diffkd=dict(of='connectors.cleaned_logits[0]', to='teacher0.logits', loss=dict(tau=1.0)),
    ),
)
