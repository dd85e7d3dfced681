namespace Shinano.Control.Daemon.Domains;

/// <summary>How far a domain's life has come, as xend sees it.</summary>
internal enum DomainPhase
{
    /// <summary>Its process is being started and built; xend removes what it finds in this phase after its own death.</summary>
    Starting,

    /// <summary>Built, introduced to xenstore.</summary>
    Live,

    /// <summary>Ended and kept (preserve, rename-restart).</summary>
    Kept,
}
