using System.CommandLine;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm.Verbs;

/// <summary>Who may send domains here over TLS, and where: migrate-key, migrate-trust, migrate-listen.</summary>
internal static class MigrationSettingVerbs
{
    private const string Off = "off";

    public static void AddTo(Command root, XmEnvironment environment)
    {
        Verb.Add(root, environment, "migrate-key", "Prints the fingerprint of this host's key.", [], async (_, xend, token) =>
            environment.WriteLine($"{(await xend.GetMigrationSettingsAsync(token)).Fingerprint}"));
        AddTrust(root, environment);
        AddListen(root, environment);
    }

    private static void AddTrust(Command root, XmEnvironment environment)
    {
        Argument<string?> fingerprint = new("fingerprint") { Arity = ArgumentArity.ZeroOrOne, Description = "As xm migrate-key prints it at the other host; none lists" };
        Argument<string?> name = new("name") { Arity = ArgumentArity.ZeroOrOne, Description = "What to call the other host" };
        Option<bool> remove = Verb.Flag("--remove", "Trust it no more; a name does as well", "-d");
        Option<bool> json = Verb.Json();
        Verb.Add(
            root,
            environment,
            "migrate-trust",
            "Trusts another host's key, both ways, or lists those that are trusted.",
            [fingerprint, name, remove, json],
            async (result, xend, token) =>
            {
                if (result.GetValue(fingerprint) is not { } key)
                {
                    IReadOnlyList<TrustedPeer> trusted = (await xend.GetMigrationSettingsAsync(token)).Trusted;
                    if (result.GetValue(json))
                    {
                        await environment.Output.WriteLineAsync(JsonText.Of(trusted));
                        return;
                    }

                    foreach (TrustedPeer peer in trusted)
                    {
                        environment.WriteLine($"{peer.Fingerprint} {peer.Name}");
                    }
                }
                else if (result.GetValue(remove))
                {
                    await xend.DistrustAsync(key, token);
                }
                else
                {
                    await xend.TrustAsync(new TrustedPeer(key, result.GetValue(name) ?? ""), token);
                }
            });
    }

    private static void AddListen(Command root, XmEnvironment environment)
    {
        Argument<string?> address = new("address")
        {
            HelpName = "address:port|off",
            Arity = ArgumentArity.ZeroOrOne,
            Description = $"Where domains are taken over TLS from now on; an address alone means port {MigrationTarget.DefaultPort}; none shows it",
        };
        Verb.Add(root, environment, "migrate-listen", "Shows or changes where domains of other hosts are taken.", [address], async (result, xend, token) =>
        {
            if (result.GetValue(address) is not { } where)
            {
                environment.WriteLine($"{(await xend.GetMigrationSettingsAsync(token)).Listen ?? Off}");
                return;
            }

            bool isAddress = System.Net.IPAddress.TryParse(where.Trim('[', ']'), out System.Net.IPAddress? alone);
            await xend.ListenForMigrationsAsync(
                where == Off ? null : isAddress ? new System.Net.IPEndPoint(alone!, MigrationTarget.DefaultPort).ToString() : where, token);
        });
    }
}
