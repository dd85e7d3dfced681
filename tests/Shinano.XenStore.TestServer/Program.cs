using Shinano.Linux;
using Shinano.XenAbi;
using Shinano.XenStore.Protocol;
using Shinano.XenStore.Server;

// A xenstore server in a process of its own, for tests that kill it. Arguments: a directory as SHINANO_HOME would name it, then the
// relay token and the numbers of domains to introduce unless they are introduced. Says "ready" on standard output; ends with its standard input.
var options = XenStoreServerOptions.From(ShinanoPaths.Under(args[0])) with { Report = Console.Error.WriteLine };
await using XenStoreServer server = await XenStoreServer.StartAsync(options);
foreach (DomainId domain in args.Skip(2).Select(text => new DomainId(ushort.Parse(text))))
{
    if (!server.Store.IsIntroduced(domain))
    {
        server.Store.IntroduceDomain(domain, frame: 1, port: 1);
    }

    server.Store.BindRelay(domain, RelayToken.TryParse(args[1]) ?? throw new ArgumentException("not a token"));
}

Console.WriteLine("ready");
await Console.In.ReadToEndAsync();
