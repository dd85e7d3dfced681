namespace Shinano.Control.Daemon.Migration;

/// <summary>OFFR: a domain that is offered; its description follows.</summary>
/// <param name="Transfer">Names this attempt and no other; who knows it may ask what became of it.</param>
/// <param name="Live">Its memory comes while it runs.</param>
internal sealed record MigrationOffer(Guid Transfer, bool Live);
