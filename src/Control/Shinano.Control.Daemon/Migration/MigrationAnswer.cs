namespace Shinano.Control.Daemon.Migration;

/// <summary>TOLD: what became of a transfer.</summary>
/// <param name="Taken">The target has the domain. Otherwise it has not and never will.</param>
internal sealed record MigrationAnswer(bool Taken);
