namespace Shinano.Control.Daemon.Migration;

/// <summary>ACPT and DONE: the domain's number at the target.</summary>
internal sealed record MigrationAcceptance(int DomainId);
