using Shinano.Control.Api.Xend;

namespace Shinano.Control.Daemon.Migration;

/// <summary>A domain's record that it was handed over: from then on only the target's word, or a person's, lets it run here again.</summary>
internal sealed record HandOver(Guid Transfer, MigrationTarget Target, DateTimeOffset At);
