using Shinano.Control.Api.Xend;
using Shinano.Control.Daemon.Migration;

namespace Shinano.Control.Daemon.Http;

/// <summary><c>xm migrate</c>, told as it goes: the answer is a stream of <see cref="MigrateEvent"/> lines. A client that goes away before the domain is suspended ends it.</summary>
internal sealed class MigrationEndpoint(Departures departures, ILogger<MigrationEndpoint> logger)
{
    public Task MigrateAsync(HttpContext context, string domain, MigrateRequest request) => LineStream.WriteAsync<MigrateEvent>(
        context,
        logger,
        async write => write(new MigrateEvent
        {
            Result = await departures.MigrateAsync(domain, request, progress => write(new MigrateEvent { Progress = progress }), context.RequestAborted),
        }),
        failure => new MigrateEvent { Failure = failure });
}
