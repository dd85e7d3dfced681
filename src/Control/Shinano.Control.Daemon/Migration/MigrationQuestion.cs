namespace Shinano.Control.Daemon.Migration;

/// <summary>ASK.: what became of a transfer?</summary>
internal sealed record MigrationQuestion(Guid Transfer);
